//! Tests of changes to real configurations.

use super::*;

/// The start of `containerd config default`, with the changes of kubeadm's users.
const VERSION_3: &str = "version = 3
root = '/var/lib/containerd'

[grpc]
  address = '/run/containerd/containerd.sock'

[plugins]
  [plugins.'io.containerd.cri.v1.runtime']
    enable_selinux = false
    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = 'runc'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
        runtime_type = 'io.containerd.runc.v2'
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
          SystemdCgroup = true
";
/// The configuration of Debian and of the packages of 1.7.
const VERSION_2: &str = "# a comment
version = 2

[plugins]
  [plugins.\"io.containerd.grpc.v1.cri\"]
    [plugins.\"io.containerd.grpc.v1.cri\".cni]
      bin_dir = \"/usr/lib/cni\"";

fn entry(version: i64) -> Entry {
    Entry {
        version,
        shim: "/opt/sampan/bin/containerd-shim-sampan-v1".to_owned(),
    }
}

fn drop_in() -> &'static Path {
    Path::new("/etc/containerd/conf.d/50-sampan.toml")
}

fn runtime(text: &str, version: i64) -> toml::Table {
    let table: toml::Table = text.parse().expect(text);
    let all = runtimes(&table, plugin(version)).expect("runtimes");
    all[RUNTIME].as_table().expect("a table").clone()
}

#[test]
fn the_drop_in_is_a_configuration_of_its_version() {
    for version_ in 2..=4 {
        let text = entry(version_).file();
        assert_eq!(version(&text, 0).expect("a version"), version_);
        let runtime = runtime(&text, version_);
        assert_eq!(
            runtime["runtime_type"].as_str(),
            Some("io.containerd.sampan.v1")
        );
        assert_eq!(runtime["pod_annotations"][0].as_str(), Some("sampan.dev/*"));
    }
}

#[test]
fn versions_are_read() {
    let check = |text: &str, expected: Option<i64>| {
        assert_eq!(version(text, 9).ok(), expected, "{text}");
    };
    check(VERSION_3, Some(3));
    check(VERSION_2, Some(2));
    check("version = 4", Some(4));
    check("", Some(9));
    check("# nothing\n\n", Some(9));
    check("root = '/x'", None);
    check("version = 1", None);
    check("version = 5", None);
    check("version = ", None);
}

#[test]
fn an_import_is_added_before_the_first_table() {
    let check = |text: &str, expected: &[&str]| {
        let changed = with_import(text, drop_in(), 3).expect(text);
        let head: Head = toml::from_str(&changed).expect(&changed);
        let imports = head.imports.expect("imports").into_inner();
        assert_eq!(imports, expected, "{changed}");
        // A second call changes nothing, and the removal restores the text.
        assert_eq!(with_import(&changed, drop_in(), 3).expect("again"), changed);
        assert_eq!(without_sampan(&changed).expect("back"), text);
    };
    let ours = "/etc/containerd/conf.d/50-sampan.toml";
    check(VERSION_3, &[ours]);
    check(VERSION_2, &[ours]);
    check("", &[ours]);
    check("version = 3\nimports = [\"/a.toml\"]\n", &["/a.toml", ours]);
    check(
        "version = 3\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n[grpc]\n",
        &["/etc/containerd/conf.d/*.toml"],
    );
    check("version = 3\nimports = []\n", &[ours]);
    let several = "imports = [\n  '/a',  # first\n  '/b',\n]\nversion = 3\n";
    let changed = with_import(several, drop_in(), 3).expect("changed");
    assert!(
        changed.starts_with("imports = [\"/a\", \"/b\", "),
        "{changed}"
    );
}

#[test]
fn a_block_is_added_at_the_end() {
    let check = |text: &str, version: i64| {
        let changed = with_block(text, &entry(version)).expect(text);
        assert_eq!(
            runtime(&changed, version),
            runtime(&entry(version).file(), version)
        );
        assert_eq!(
            with_block(&changed, &entry(version)).expect("again"),
            changed
        );
        let back = without_sampan(&changed).expect("back");
        assert_eq!(back.trim_end(), text.trim_end());
    };
    check(VERSION_3, 3);
    check(VERSION_2, 2);
    check("", 3);
    check("version = 4\n", 4);
    let other = Entry {
        shim: "/elsewhere/shim".to_owned(),
        ..entry(3)
    };
    let changed =
        with_block(&with_block(VERSION_3, &entry(3)).expect("one"), &other).expect("other");
    assert_eq!(
        runtime(&changed, 3)["runtime_path"].as_str(),
        Some("/elsewhere/shim")
    );
}

#[test]
fn a_foreign_runtime_is_not_replaced() {
    let theirs = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sampan]\n\
                  runtime_type = 'io.containerd.other.v1'\n";
    assert!(matches!(
        with_block(theirs, &entry(3)),
        Err(ConfigError::NameTaken)
    ));
}

#[test]
fn templates_keep_their_content() {
    let made = template_with_block(None, &entry(3));
    assert!(
        made.starts_with("{{ template \"base\" . }}\n# BEGIN sampan"),
        "{made}"
    );
    assert_eq!(template_with_block(Some(&made), &entry(3)), made);
    assert_eq!(template_without_block(&made), None);
    let theirs = "{{ template \"base\" . }}\n# mine\n";
    let made = template_with_block(Some(theirs), &entry(3));
    assert_eq!(template_without_block(&made).as_deref(), Some(theirs));
    assert_eq!(
        template_without_block(BASE_TEMPLATE).as_deref(),
        Some(BASE_TEMPLATE)
    );
}

#[test]
fn patterns_cover_paths() {
    let check = |pattern: &str, path: &str, expected: bool| {
        assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
    };
    check(
        "/etc/containerd/conf.d/*.toml",
        "/etc/containerd/conf.d/50-sampan.toml",
        true,
    );
    check(
        "/etc/containerd/conf.d/*",
        "/etc/containerd/conf.d/50-sampan.toml",
        true,
    );
    check(
        "/etc/*/conf.d/50-*.toml",
        "/etc/containerd/conf.d/50-sampan.toml",
        true,
    );
    check(
        "/etc/containerd/*.toml",
        "/etc/containerd/conf.d/50-sampan.toml",
        false,
    );
    check(
        "/etc/containerd/conf.d/*.conf",
        "/etc/containerd/conf.d/50-sampan.toml",
        false,
    );
    check("/a", "/a", true);
    check("/a", "/a/b", false);
}
