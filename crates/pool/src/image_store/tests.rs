//! Tests of the images on disk.

use super::*;

async fn keep(images: &ImageStore, image: &str, module: &str) -> Artifact {
    let lease = images.lease(Digest::of(image.as_bytes()));
    let bytes = module.as_bytes().to_vec();
    let kept = images.keep(lease, Digest::of(&bytes), bytes).await;
    kept.expect("it is kept")
}

#[tokio::test]
async fn images_in_use_stay_while_others_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path().to_owned()).expect("it opens");
    let used = keep(&images, "used", "one").await;
    let same = keep(&images, "of the same module", "one").await;
    let unused = keep(&images, "unused", "two").await;
    fs::write(folder.path().join("modules/.sampan-left"), "x").expect("it is written");
    let (shared, gone) = (same.path.clone(), unused.path.clone());
    drop((same, unused));
    let modules = images.collect().await.expect("it succeeds");
    assert_eq!(modules, std::slice::from_ref(&used.module));
    assert!(shared.exists() && !gone.exists());
    let count = |name: &str| fs::read_dir(folder.path().join(name)).map(Iterator::count);
    assert_eq!(
        (count("images").ok(), count("modules").ok()),
        (Some(1), Some(1))
    );
    // A function that waits for its next attempt has only the name of its image.
    let Artifact { image, module, .. } = used;
    assert_eq!(images.collect().await.ok(), Some(vec![module.clone()]));
    let found = images.find(image).await.expect("it can be read");
    assert_eq!(found.map(|found| found.module), Some(module));
    assert_eq!(images.collect().await.ok(), Some(Vec::new()));
}
