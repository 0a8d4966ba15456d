//! The CNAME that Sectigo asks for, by the tools of zones that only a pipeline may write.

use std::fs;

use serde_json::{Value, json};

use super::sectigo::{ORGANISATION, Site, one_zone};
use super::world::Setup;
use crate::support::{NameServer, process};

/// The domain waits for a CNAME that a foreign writer must write.
fn waiting(server: &NameServer, name: &str) -> (Site, Setup) {
    let site = Site::new(server, "cname");
    site.scm.add_domain(name, ORGANISATION);
    let mut setup = site.world.setup(server, &[name]);
    setup.instead = Some(site.sections());
    setup.provider = None;
    setup.more = format!("[provider.gitops]\nkind = \"manual\"\nzones = [\"{name}\"]\n");
    site.world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(4)
        .says(&["for the zone's own writer to write", "CNAME"]);
    (site, setup)
}

fn printed(site: &Site, setup: &Setup, arguments: &[&str]) -> String {
    let arguments = [&["records"], arguments].concat();
    site.world.run(setup, &arguments).exits(0).stdout
}

/// Owner and target of the one CNAME that must be.
fn wanted(site: &Site, setup: &Setup) -> (String, String) {
    let all: Value = serde_json::from_str(&printed(site, setup, &["--output", "json"])).unwrap();
    let record = &all["must_stand"][0];
    assert_eq!(record["type"], "CNAME", "{all}");
    let text = |key: &str| {
        let text = record[key].as_str().unwrap();
        text.trim_end_matches('.').to_owned()
    };
    (text("owner"), text("value"))
}

/// What the server answers for the CNAME, without the last full stop.
fn target_at(server: &NameServer, zone: &str, owner: &str) -> Option<String> {
    let all = server.axfr(zone);
    let mut here = all.iter().map(|line| line.split_whitespace().collect());
    here.find_map(|words: Vec<&str>| match words[..] {
        [name, _, _, "CNAME", target] if name.trim_end_matches('.') == owner => {
            Some(target.trim_end_matches('.').to_owned())
        }
        _ => None,
    })
}

fn nsupdate(server: &NameServer, lines: &str) {
    let key = server.tsig_key_file().display().to_string();
    let input = format!("server 127.0.0.1 {}\n{lines}", server.address().port());
    process::run("nsupdate", &["-v", "-k", &key], &input);
}

#[test]
fn nsupdate_writes_the_cname_that_records_prints_and_takes_it_away() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let (site, setup) = waiting(&server, name);
    let (owner, target) = wanted(&site, &setup);
    assert_eq!(server.axfr(name), before, "nothing is written");

    // A plan of the zone with and without it, by BIND's own tool and by `records --check`.
    let lines = printed(&site, &setup, &["--zone", name]);
    let plan = |more: &str| {
        let mut records = server.axfr(name);
        for record in &mut records {
            *record = record.replace("SERIAL", "1");
        }
        let path = site.world.path("plan.zone");
        fs::write(&path, format!("{}\n{more}", records.join("\n"))).unwrap();
        path.display().to_string()
    };
    let bare = plan("");
    let check = |path: &str| site.world.run(&setup, &["records", "--check", path]);
    check(&bare).exits(4);
    let whole = plan(&lines);
    let dumped = process::run("named-checkzone", &["-D", name, &whole], "");
    let is_there = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&"CNAME")
            && words[0].trim_end_matches('.').eq_ignore_ascii_case(&owner)
            && words[4].trim_end_matches('.').eq_ignore_ascii_case(&target)
    };
    assert!(dumped.lines().any(is_there), "{dumped}");
    check(&whole).exits(0);

    nsupdate(&server, &printed(&site, &setup, &["--format", "nsupdate"]));
    assert_eq!(target_at(&server, name, &owner), Some(target));
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert!(site.scm.validated_at(name).is_some());
    nsupdate(&server, &printed(&site, &setup, &["--format", "nsupdate"]));
    assert_eq!(server.axfr(name), before, "as before, with all TTLs");
}

/// octoDNS itself, from one folder of YAML to another, for real.
#[test]
fn octodns_writes_the_cname_that_records_prints() {
    let (server, name) = one_zone();
    let (site, setup) = waiting(&server, name);
    let (owner, target) = wanted(&site, &setup);
    for folder in ["config", "target"] {
        fs::create_dir(site.world.path(folder)).unwrap();
    }
    let yaml = printed(&site, &setup, &["--format", "octodns", "--zone", name]);
    fs::write(site.world.path(&format!("config/{name}.yaml")), &yaml).unwrap();
    let provider = |folder: &str| {
        let directory = site.world.path(folder);
        json!({ "class": "octodns.provider.yaml.YamlProvider", "directory": directory })
    };
    let config = json!({
        "providers": { "config": provider("config"), "target": provider("target") },
        "zones": { format!("{name}."): { "sources": ["config"], "targets": ["target"] } },
    });
    let path = site.world.path("octodns.json");
    fs::write(&path, config.to_string()).unwrap();
    let ran = std::process::Command::new(process::tool("octodns-sync"))
        .args(["--doit", "--force", "--config-file"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success(), "{said}\n{yaml}");
    let written = site.world.path(&format!("target/{name}.yaml"));
    let written = fs::read_to_string(written).unwrap();
    let label = owner.strip_suffix(&format!(".{name}")).unwrap();
    for word in [label, "CNAME", &target] {
        assert!(written.contains(word), "{word}: {written}");
    }
}
