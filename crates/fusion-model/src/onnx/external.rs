//! Data that a model keeps in files beside its own, as exporters do by default with large weights.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use super::proto;

/// Where the files beside a model are; `None` for a model that came without a folder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ExternalData<'a> {
    pub(super) folder: Option<&'a Path>,
}

impl ExternalData<'_> {
    /// The bytes that belong to `tensor`: `expected` of them. The error says what is wrong.
    pub(super) fn read(&self, tensor: &proto::TensorProto, expected: usize) -> Result<Vec<u8>, String> {
        let value = |key: &str| tensor.external_data.iter().find(|e| e.key() == key).map(proto::StringStringEntryProto::value);
        let location = value("location").ok_or("its data is in another file that it does not name")?;
        let number = |key: &str| match value(key) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("the {key} of its data in `{location}` is `{text}`")),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if length.is_some_and(|length| length != expected as u64) {
            return Err(format!("it has {length:?} bytes of data in `{location}` where its dimensions say {expected}"));
        }
        let path = self.path(location)?;
        let unread = |error: std::io::Error| {
            format!(
                "its data is in the file `{location}`, which cannot be read beside the model ({error}); keep the two files together, or save the model with its weights inside (external_data=False)"
            )
        };
        // A link may lead anywhere, and a pipe would keep us waiting.
        let (path, folder) =
            (path.canonicalize().map_err(unread)?, self.folder.unwrap_or(Path::new("")).join(".").canonicalize().map_err(unread)?);
        if !path.starts_with(&folder) || !path.metadata().map_err(unread)?.is_file() {
            return Err(format!("its data is in `{location}`, which is no file in the model's folder"));
        }
        let file = File::open(&path).map_err(unread)?;
        // Before memory is taken for what is not there.
        let there = file.metadata().map_err(unread)?.len();
        if offset.checked_add(expected as u64).is_none_or(|end| end > there) {
            return Err(format!("its data should be bytes {offset} to {offset} + {expected} of `{location}`, which has {there}"));
        }
        let mut bytes = vec![0; expected];
        file.read_exact_at(&mut bytes, offset).map_err(unread)?;
        Ok(bytes)
    }

    /// The path of a file in the model's folder. A model from a stranger names no others.
    fn path(&self, location: &str) -> Result<PathBuf, String> {
        let folder = self.folder.ok_or_else(|| {
            format!("its data is in another file, `{location}`; save the model with its weights inside (external_data=False)")
        })?;
        let inside = Path::new(location).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || location.is_empty() {
            return Err(format!("its data is in `{location}`, which is not in the model's folder"));
        }
        Ok(folder.join(location))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(entries: &[(&str, &str)]) -> proto::TensorProto {
        let entry =
            |(key, value): &(&str, &str)| proto::StringStringEntryProto { key: Some((*key).to_owned()), value: Some((*value).to_owned()) };
        proto::TensorProto { external_data: entries.iter().map(entry).collect(), ..Default::default() }
    }

    #[test]
    fn data_is_read_from_where_the_model_says() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.data"), [1, 2, 3, 4, 5]).unwrap();
        let beside = ExternalData { folder: Some(folder.path()) };
        let of = |entries: &[(&str, &str)], bytes| beside.read(&tensor(entries), bytes);
        assert_eq!(of(&[("location", "w.data"), ("offset", "1"), ("length", "3")], 3).unwrap(), [2, 3, 4]);
        assert_eq!(of(&[("location", "./w.data")], 5).unwrap(), [1, 2, 3, 4, 5]);
        for (entries, bytes, message) in [
            (&[("offset", "1")][..], 3, "does not name"),
            (&[("location", "w.data"), ("length", "2")], 3, "where its dimensions say 3"),
            (&[("location", "w.data"), ("offset", "3")], 3, "which has 5"),
            (&[("location", "w.data"), ("offset", "18446744073709551615")], 3, "which has 5"),
            (&[("location", "w.data"), ("offset", "-1")], 3, "is `-1`"),
            (&[("location", "../w.data")], 3, "not in the model's folder"),
            (&[("location", "/etc/passwd")], 3, "not in the model's folder"),
            (&[("location", "")], 3, "not in the model's folder"),
            (&[("location", "v.data")], 3, "keep the two files together"),
        ] {
            let error = of(entries, bytes).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("secret"), [9; 5]).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("secret"), folder.path().join("link")).unwrap();
        let error = of(&[("location", "link")], 5).unwrap_err();
        assert!(error.contains("no file in the model's folder"), "{error}");
        let nowhere = ExternalData::default().read(&tensor(&[("location", "w.data")]), 3).unwrap_err();
        assert!(nowhere.contains("external_data=False"), "{nowhere}");
    }
}
