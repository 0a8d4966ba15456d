//! `provider = "auto"`.

use std::sync::Arc;

use super::*;

#[test]
fn whichever_provider_has_the_zone_is_the_default_and_can_be_said() {
    let folder = Folder::new();
    let providers = |text: &str| {
        let settings = folder.load(text).unwrap();
        assert_eq!(settings.notices, [], "no provider is called unused");
        assert_eq!(
            folder.load(&settings.redacted_toml()).unwrap().clients,
            settings.clients
        );
        settings.clients[0]
            .domains
            .iter()
            .map(|domain| domain.provider.clone())
            .collect::<Vec<_>>()
    };
    let [internal, edge] = ["internal", "edge"].map(|name| Some(Arc::from(name)));
    assert_eq!(
        providers(&GOOD.replace("provider = \"internal\"\n", "")),
        [None, None, edge.clone()]
    );
    assert_eq!(
        providers(&GOOD.replace("\"internal\"\n", "\"auto\"\n")),
        [None, None, edge]
    );
    assert_eq!(
        providers(&GOOD.replace("\"edge\"\n", "\"auto\"\n")),
        [internal.clone(), internal, None]
    );
    let faults = folder.faults(&GOOD.replace("[provider.edge]", "[provider.auto]"));
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("provider.auto: is the word for")),
        "{faults:?}"
    );
}
