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

#[test]
fn a_configuration_comes_through_a_pipe_and_in_the_encodings_of_windows() {
    let folder = Folder::new();
    let wide: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let path = folder.write("prevalidate.toml", [b"\xff\xfe".as_slice(), &wide].concat());
    assert_eq!(load(&path).unwrap().clients.len(), 1);

    let pipe = folder.0.path().join("pipe");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let to = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(to, GOOD).unwrap());
    let named = find(Some(&pipe), &|_| None).unwrap();
    assert_eq!(load(&named).unwrap().clients.len(), 1);
    writer.join().unwrap();

    let folder_named = find(Some(folder.0.path()), &|_| None)
        .unwrap_err()
        .to_string();
    assert!(
        folder_named.contains("is a folder, not a file; --config names it"),
        "{folder_named}"
    );
    for (content, words) in [
        (&b"<html></html>"[..], "an HTML or XML page"),
        (b"PK\x03\x04", "a ZIP archive"),
    ] {
        let fault = load(&folder.write("prevalidate.toml", content))
            .unwrap_err()
            .to_string();
        assert!(fault.contains(words), "{fault}");
    }
}

#[test]
fn what_every_user_may_change_is_neither_read_nor_started() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let folder = Folder::new();
    let path = folder.write("prevalidate.toml", GOOD);
    for (bits, good) in [(0o666, false), (0o602, false), (0o644, true), (0o440, true)] {
        mode(&path, bits);
        let fault = load(&path).err().map(|error| error.to_string());
        assert_eq!(fault.is_none(), good, "{bits:o}: {fault:?}");
        if let Some(fault) = fault {
            assert!(
                fault.contains(&format!("{bits:04o}")) && fault.contains("chmod o-w"),
                "{fault}"
            );
        }
    }

    let program = folder.write("key.sh", "#!/bin/sh\n");
    let shown = program.display();
    let secret = format!("api_key = {{ command = [\"{shown}\", \"x\"] }}");
    let hook = format!("[[notify]]\nname = \"n\"\nkind = \"command\"\ncommand = [\"{shown}\"]\n");
    let edge = format!("kind = \"exec\"\nprogram = \"{shown}\"\n");
    let of_edge = "kind = \"rfc2136\"\nserver = \"198.51.100.1\"\nkey_file = \"edge.key\"\n";
    for (text, key) in [
        (
            GOOD.replace("api_key = { file = \"api.key\" }", &secret),
            ":10: ca.swisssign.api_key",
        ),
        (format!("{GOOD}{hook}"), "notify.command of n"),
        (GOOD.replace(of_edge, &edge), "provider.edge.program"),
    ] {
        mode(&program, 0o755);
        folder.load(&text).unwrap();
        mode(&program, 0o777);
        let faults = folder.faults(&text);
        assert!(
            faults[0].contains(key) && faults[0].contains("mode 0777"),
            "{faults:?}"
        );
        mode(&program, 0o755);
        mode(folder.0.path(), 0o777);
        let faults = folder.faults(&text);
        mode(folder.0.path(), 0o700);
        assert!(
            faults[0].contains("every user may write the folder"),
            "{faults:?}"
        );
    }
}
