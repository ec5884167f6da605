//! `ConfigMap`s and Secrets that functions refer to, as the pool knows them.
//!
//! Only the data of referenced objects is kept. An object that was not seen yet is unknown, which
//! differs from one that does not exist.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use sampan_spec::is_object_name;

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A `ConfigMap`.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        })
    }
}

/// The name of an object in the pool's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// A `ConfigMap`.
    pub fn config_map(name: impl Into<String>) -> Self {
        let (kind, name) = (ObjectKind::ConfigMap, name.into());
        Self { kind, name }
    }

    /// A Secret.
    pub fn secret(name: impl Into<String>) -> Self {
        let (kind, name) = (ObjectKind::Secret, name.into());
        Self { kind, name }
    }

    /// Whether an object can have this name. Another one is never asked for: it would change the
    /// URL of the request.
    pub(crate) fn can_exist(&self) -> bool {
        is_object_name(&self.name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The data of an object. Its values are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ObjectData(BTreeMap<String, Vec<u8>>);

impl ObjectData {
    /// Makes the data of keys and values.
    pub fn new(data: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(data.into_iter().collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let values = self.0.iter();
        values.map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}

impl fmt::Debug for ObjectData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// An object as one answer of the API server has it.
#[derive(Clone, Debug)]
pub struct SeenObject {
    /// Its data; `None` if it does not exist.
    pub data: Option<ObjectData>,
    /// Its resource version, if the answer has one that can be compared.
    pub version: Option<u64>,
}

/// What is known of an object.
pub(crate) enum Known<'a> {
    /// The API server has not answered yet.
    Unknown,
    /// The pool's account may not read objects of this kind.
    Forbidden,
    Absent,
    Present(&'a ObjectData),
}

/// All referenced objects.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    seen: HashMap<ObjectKey, Seen>,
    forbidden: HashSet<ObjectKind>,
}

#[derive(Debug)]
struct Seen {
    data: Option<Arc<ObjectData>>,
    version: Option<u64>,
}

impl Objects {
    pub(crate) fn get(&self, key: &ObjectKey) -> Known<'_> {
        if !key.can_exist() {
            return Known::Absent;
        }
        match self.seen.get(key) {
            Some(Seen {
                data: Some(data), ..
            }) => Known::Present(data),
            Some(Seen { data: None, .. }) => Known::Absent,
            None if self.forbidden.contains(&key.kind) => Known::Forbidden,
            None => Known::Unknown,
        }
    }

    /// Records what a watch has seen, or what a single request has found. Returns whether that
    /// changes anything. The answers to both may overtake each other: the older one is ignored.
    pub(crate) fn observe(&mut self, key: ObjectKey, found: SeenObject) -> bool {
        let SeenObject { data, version } = found;
        let Some(seen) = self.seen.get_mut(&key) else {
            return self.insert(key, data, version);
        };
        let is_older = match (seen.version, version) {
            (Some(known), Some(found)) => found < known,
            // An absence without a version is that of a request that found nothing.
            (Some(_), None) => data.is_none(),
            (None, _) => false,
        };
        if is_older {
            return false;
        }
        seen.version = version;
        seen.replace(data)
    }

    /// Records a complete list: an object that was asked for and is not in it does not exist.
    /// Returns the changed objects.
    pub(crate) fn observe_list(
        &mut self,
        kind: ObjectKind,
        asked: impl IntoIterator<Item = String>,
        mut found: HashMap<String, SeenObject>,
    ) -> Vec<ObjectKey> {
        let mut changed = Vec::new();
        let absent = asked.into_iter().filter(|name| !found.contains_key(name));
        let absent: Vec<_> = absent.collect();
        for name in absent {
            let (data, version) = (None, None);
            found.insert(name, SeenObject { data, version });
        }
        for (name, SeenObject { data, version }) in found {
            let key = ObjectKey { kind, name };
            let is_changed = if let Some(seen) = self.seen.get_mut(&key) {
                seen.version = version;
                seen.replace(data)
            } else {
                self.insert(key.clone(), data, version)
            };
            if is_changed {
                changed.push(key);
            }
        }
        changed
    }

    fn insert(&mut self, key: ObjectKey, data: Option<ObjectData>, version: Option<u64>) -> bool {
        let data = data.map(Arc::new);
        self.seen.insert(key, Seen { data, version });
        true
    }

    /// Forgets an object to which no function refers any more.
    pub(crate) fn forget(&mut self, key: &ObjectKey) {
        self.seen.remove(key);
    }

    /// Records whether objects of this kind may be read. Returns whether that is new.
    pub(crate) fn set_forbidden(&mut self, kind: ObjectKind, forbidden: bool) -> bool {
        if forbidden {
            self.forbidden.insert(kind)
        } else {
            self.forbidden.remove(&kind)
        }
    }
}

impl Seen {
    /// Replaces the data; returns whether it differs.
    fn replace(&mut self, data: Option<ObjectData>) -> bool {
        if self.data.as_deref() == data.as_ref() {
            return false;
        }
        self.data = data.map(Arc::new);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Option<&str>, version: Option<u64>) -> SeenObject {
        let data = value.map(|value| ObjectData::new([("k".to_owned(), value.into())]));
        SeenObject { data, version }
    }

    fn value(objects: &Objects, key: &ObjectKey) -> &'static str {
        match objects.get(key) {
            Known::Unknown => "unknown",
            Known::Forbidden => "forbidden",
            Known::Absent => "absent",
            Known::Present(data) => match data.get("k") {
                Some(b"old") => "old",
                Some(b"new") => "new",
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn the_newer_of_two_answers_is_kept() {
        fn check(answers: &[(Option<&str>, Option<u64>)], expected: &str) {
            let (mut objects, key) = (Objects::default(), ObjectKey::config_map("a"));
            for (data, version) in answers {
                objects.observe(key.clone(), object(*data, *version));
            }
            assert_eq!(value(&objects, &key), expected, "{answers:?}");
        }
        check(&[], "unknown");
        check(&[(Some("old"), Some(1))], "old");
        check(&[(Some("old"), Some(1)), (Some("new"), Some(2))], "new");
        check(&[(Some("new"), Some(2)), (Some("old"), Some(1))], "new");
        // A request that found nothing was answered before the watch saw the object.
        check(&[(Some("new"), Some(2)), (None, None)], "new");
        check(&[(None, None), (Some("new"), Some(2))], "new");
        // A deletion has a version.
        check(&[(Some("old"), Some(1)), (None, Some(2))], "absent");
        // Versions that cannot be compared count in the order of arrival.
        check(&[(Some("old"), Some(1)), (Some("new"), None)], "new");
    }

    #[test]
    fn a_complete_list_replaces_what_is_known() {
        let mut objects = Objects::default();
        let (kept, gone) = (ObjectKey::secret("kept"), ObjectKey::secret("gone"));
        objects.observe(kept.clone(), object(Some("new"), Some(9)));
        objects.observe(gone.clone(), object(Some("old"), Some(9)));
        // After a restored backup, versions begin again.
        let found = HashMap::from([("kept".to_owned(), object(Some("old"), Some(1)))]);
        let asked = ["kept".to_owned(), "gone".to_owned()];
        let mut changed = objects.observe_list(ObjectKind::Secret, asked, found);
        changed.sort();
        assert_eq!(changed, [gone.clone(), kept.clone()]);
        assert_eq!(value(&objects, &kept), "old");
        assert_eq!(value(&objects, &gone), "absent");
    }

    #[test]
    fn what_may_not_be_read_is_neither_absent_nor_unknown() {
        let (mut objects, key) = (Objects::default(), ObjectKey::secret("a"));
        assert!(objects.set_forbidden(ObjectKind::Secret, true));
        assert!(!objects.set_forbidden(ObjectKind::Secret, true));
        assert_eq!(value(&objects, &key), "forbidden");
        assert_eq!(value(&objects, &ObjectKey::config_map("a")), "unknown");
        assert!(objects.set_forbidden(ObjectKind::Secret, false));
        assert_eq!(value(&objects, &key), "unknown");
    }

    #[test]
    fn an_impossible_name_is_absent_without_an_answer() {
        for name in ["?limit=20", "a/b", "..", "", "A"] {
            let objects = Objects::default();
            assert_eq!(
                value(&objects, &ObjectKey::secret(name)),
                "absent",
                "{name}"
            );
        }
    }

    #[test]
    fn values_are_never_shown() {
        let seen = object(Some("hidden"), None);
        let shown = format!("{seen:?}");
        assert!(shown.contains('k') && !shown.contains("hidden"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", b"hidden")), "{shown}");
    }
}
