use std::os::unix::fs::PermissionsExt as _;

use memtide_topology::{CacheId, Change, HashSeed, Update};

use super::*;

fn first() -> Arc<Topology> {
    Arc::new(Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap())
}

fn after(topology: &Topology, replicas: u8) -> Arc<Topology> {
    let changes = vec![Change::SetReplicas { replicas }];
    Arc::new(topology.apply(&Update { parent: topology.epoch(), changes }).unwrap())
}

async fn set(store: &LocalStore, parent: Option<&Topology>, next: &Arc<Topology>) -> Stored {
    let parent = parent.map(Topology::epoch);
    store.compare_and_set(parent, Arc::clone(next)).await.unwrap()
}

async fn stored(dir: &Path) -> Option<Arc<Topology>> {
    LocalStore::open(dir).unwrap().load().await.unwrap()
}

#[tokio::test]
async fn what_is_stored_is_there_again_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a/b");
    let (one, two) = (first(), after(&first(), 1));
    {
        let store = LocalStore::open(&dir).unwrap();
        assert_eq!(store.load().await.unwrap(), None);
        let watched = store.watch();
        assert_eq!(set(&store, None, &one).await, Stored::Done);
        assert_eq!(set(&store, Some(&one), &two).await, Stored::Done);
        assert_eq!(*watched.borrow(), Some(Arc::clone(&two)));
    }
    assert_eq!(stored(&dir).await, Some(two));
    let mode = fs::metadata(stored_path(&dir)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the seed is a secret");
}

#[tokio::test]
async fn who_is_not_at_the_parent_gets_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    let (one, two, other) = (first(), after(&first(), 1), after(&first(), 2));
    assert_eq!(set(&store, Some(&one), &two).await, Stored::Conflict(None));
    set(&store, None, &one).await;
    assert_eq!(set(&store, None, &one).await, Stored::Conflict(Some(Arc::clone(&one))));
    set(&store, Some(&one), &two).await;
    assert_eq!(set(&store, Some(&one), &other).await, Stored::Conflict(Some(Arc::clone(&two))));
    drop(store);
    assert_eq!(stored(dir.path()).await, Some(two));
}

#[tokio::test]
async fn it_never_goes_back_or_to_another_cache() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    let (one, two) = (first(), after(&first(), 1));
    set(&store, None, &one).await;
    set(&store, Some(&one), &two).await;
    for back in [&one, &two] {
        let refused = store.compare_and_set(Some(two.epoch()), Arc::clone(back)).await;
        assert!(matches!(refused, Err(StoreError::Backwards { .. })), "{refused:?}");
    }
    let seed = HashSeed::new(9, 9);
    let other = Topology::new(CacheId::default(), seed, 0).unwrap();
    let other = after(&after(&other, 1), 2);
    let refused = store.compare_and_set(Some(two.epoch()), other).await;
    assert!(matches!(refused, Err(StoreError::OtherCache { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_the_one_or_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (one, two, three) = (first(), after(&first(), 1), after(&after(&first(), 1), 2));
    set(&LocalStore::open(dir).unwrap(), None, &one).await;
    // In the middle of writing.
    let half = file::encode(&two);
    fs::write(next_path(dir), &half[..half.len() / 2]).unwrap();
    assert_eq!(stored(dir).await, Some(Arc::clone(&one)));
    // Between writing and renaming.
    write_next(dir, &two).unwrap();
    assert_eq!(stored(dir).await, Some(Arc::clone(&one)));
    // After renaming.
    put_in_place(dir).unwrap();
    assert_eq!(stored(dir).await, Some(Arc::clone(&two)));
    let store = LocalStore::open(dir).unwrap();
    assert_eq!(set(&store, Some(&two), &three).await, Stored::Done);
}

/// Nobody knows whether it is there, so another one of its epoch must not follow it.
#[tokio::test]
async fn after_a_failure_only_the_same_may_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    let (one, two, other) = (first(), after(&first(), 1), after(&first(), 2));
    set(&store, None, &one).await;
    // A directory cannot be written as a file, whoever tries.
    fs::create_dir(next_path(dir.path())).unwrap();
    let failed = store.compare_and_set(Some(one.epoch()), Arc::clone(&two)).await;
    assert!(matches!(failed, Err(StoreError::Io { what: "write", .. })), "{failed:?}");
    fs::remove_dir(next_path(dir.path())).unwrap();
    let refused = store.compare_and_set(Some(one.epoch()), other).await;
    assert!(matches!(refused, Err(StoreError::Uncertain { .. })), "{refused:?}");
    assert_eq!(set(&store, Some(&one), &two).await, Stored::Done);
}

#[tokio::test]
async fn two_scalers_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = LocalStore::open(dir.path()).unwrap();
    let refused = LocalStore::open(dir.path()).map(|_| ());
    assert!(matches!(refused, Err(StoreError::Held { .. })), "{refused:?}");
    drop(first);
    LocalStore::open(dir.path()).unwrap();
}

#[test]
fn a_damaged_or_foreign_file_is_said_to_be_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = || LocalStore::open(dir.path()).map(|_| ()).unwrap_err().to_string();
    fs::write(stored_path(dir.path()), "").unwrap();
    assert!(error().contains("topology is damaged: 0 bytes instead of 37"), "{}", error());
    fs::write(stored_path(dir.path()), "hello, this is something else entirely").unwrap();
    assert!(error().contains("is no topology of memtide"), "{}", error());
    let huge = File::create(stored_path(dir.path())).unwrap();
    huge.set_len(1 << 30).unwrap();
    assert!(error().contains("is no topology of memtide"), "{}", error());
}
