//! What the executor intends, where it is kept: a line of JSON.

use memtide_executor::Record;

use crate::StoreError;
use crate::documents::{Document, Documents};

/// What was written last; `None` where nothing was.
pub async fn load(documents: &dyn Documents) -> Result<Option<Record>, StoreError> {
    let Some(text) = documents.read(Document::Scaling).await? else { return Ok(None) };
    let path = documents.place(Document::Scaling);
    Record::decode(&text).map(Some).map_err(|why| StoreError::Scaling { path, why })
}

/// Writes it down, durably.
pub async fn store(documents: &dyn Documents, record: &Record) -> Result<(), StoreError> {
    documents.write(Document::Scaling, Some(record.encode())).await
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::documents::LocalDocuments;

    #[tokio::test]
    async fn it_is_read_as_it_was_written_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalDocuments::of(dir.path());
        assert_eq!(load(&files).await.unwrap(), None);
        let mut record = Record::new(1 << 40);
        record.plans = 7;
        store(&files, &record).await.unwrap();
        assert_eq!(load(&files).await.unwrap(), Some(record));
        for text in ["", "{", r#"{"format":"memtide scaling 2"}"#] {
            fs::write(dir.path().join("scaling"), text).unwrap();
            let error = load(&files).await.unwrap_err().to_string();
            assert!(error.contains("scaling is damaged, or of a later"), "{text:?}: {error}");
        }
    }
}
