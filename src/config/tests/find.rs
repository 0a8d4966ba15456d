//! Which file is the configuration, and what is none.

use super::*;

#[test]
fn the_nearest_configuration_is_found_and_a_named_one_is_never_replaced_by_another() {
    let folder = Folder::new();
    let config_home = folder.0.path().join("xdg");
    std::fs::create_dir_all(config_home.join("prevalidate")).unwrap();
    let in_home = folder.write("xdg/prevalidate/prevalidate.toml", GOOD);
    let named = folder.write("named.toml", GOOD);
    let environment = |pairs: Vec<(&'static str, String)>| {
        move |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.clone())
        }
    };
    let xdg = ("XDG_CONFIG_HOME", config_home.display().to_string());
    let variable = (ENV, named.display().to_string());
    let missing = folder.0.path().join("missing.toml");

    let both = environment(vec![xdg.clone(), variable]);
    assert_eq!(find(Some(&in_home), &both).unwrap(), in_home);
    assert_eq!(find(None, &both).unwrap(), named);
    assert!(
        find(Some(&missing), &both)
            .unwrap_err()
            .to_string()
            .contains("missing.toml: there is no such file")
    );
    assert_eq!(
        find(None, &environment(vec![xdg.clone()])).unwrap(),
        in_home
    );
    let wrong = environment(vec![xdg, (ENV, missing.display().to_string())]);
    assert!(find(None, &wrong).unwrap_err().to_string().contains(ENV));
    let nowhere = find(
        None,
        &environment(vec![("HOME", missing.display().to_string())]),
    )
    .unwrap_err()
    .to_string();
    for place in [
        "./prevalidate.toml",
        "missing.toml/.config/prevalidate",
        "/etc/prevalidate/prevalidate.toml",
        "--config",
    ] {
        assert!(nowhere.contains(place), "{nowhere}");
    }
}

#[test]
fn what_is_no_configuration_file_is_refused_with_a_reason() {
    let folder = Folder::new();
    let path = folder.write(
        "prevalidate.toml",
        b"[policy]\nmode = \"manage\"\n# M\xfcller\n",
    );
    assert!(
        load(&path)
            .unwrap_err()
            .to_string()
            .contains(".toml:3: is not UTF-8")
    );
    assert!(
        load(folder.0.path())
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
    assert!(
        load(&folder.0.path().join("none"))
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    assert!(
        folder
            .load(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n")))
            .is_ok()
    );
}
