#![allow(clippy::unwrap_used)]
use super::*;
use std::io::Write as _;

/// A file of `len` sevens, open to write, and its map.
fn mapped(len: usize) -> (tempfile::NamedTempFile, Arc<Mapped>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; len]).unwrap();
    let map = Mapped::new(file.path(), &File::open(file.path()).unwrap()).unwrap();
    (file, map)
}

#[test]
fn a_file_left_alone_is_unchanged() {
    let (_file, map) = mapped(10_000);
    assert!(map.bytes().iter().all(|&byte| byte == 7));
    assert_eq!(map.check_unchanged(), Ok(()));
}

#[cfg(unix)]
#[test]
fn a_file_cut_while_it_is_mapped_reads_as_zeros_and_is_reported() {
    let (file, map) = mapped(1 << 20);
    let bytes = map.bytes();
    assert_eq!(bytes[1 << 19], 7);
    file.as_file().set_len(5000).unwrap();
    // The file's end is within the second page; the third is gone.
    assert_eq!(bytes[9000], 0);
    assert_eq!(bytes[(1 << 20) - 1], 0);
    assert_eq!(bytes[100], 7);
    assert!(map.watch.was_cut());
    assert_eq!(map.check_unchanged(), Err(Change::Size { before: 1 << 20, now: 5000 }));
}

#[cfg(unix)]
#[test]
fn a_cut_is_remembered_when_the_file_grows_again() {
    let (file, map) = mapped(1 << 16);
    file.as_file().set_len(0).unwrap();
    assert_eq!(map.bytes().iter().map(|&byte| u64::from(byte)).sum::<u64>(), 0);
    file.as_file().set_len(1 << 16).unwrap();
    assert_eq!(map.check_unchanged(), Err(Change::Cut));
}

#[cfg(unix)]
#[test]
fn many_maps_cut_under_many_threads() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..50 {
                    let (file, map) = mapped(1 << 16);
                    let bytes = map.bytes();
                    if round % 2 == 0 {
                        file.as_file().set_len(0).unwrap();
                    }
                    let sum = bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                    assert_eq!(sum, if round % 2 == 0 { 0 } else { 7 << 16 });
                    assert_eq!(map.check_unchanged().is_err(), round % 2 == 0);
                }
            });
        }
    });
}

#[test]
fn writing_replacing_and_removing_are_noticed() {
    let (mut file, map) = mapped(100);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    file.as_file_mut().set_modified(later).unwrap();
    assert_eq!(map.check_unchanged(), Err(Change::Written));

    let (file, map) = mapped(100);
    let mut other = tempfile::NamedTempFile::new_in(file.path().parent().unwrap()).unwrap();
    other.write_all(&[7; 100]).unwrap();
    let path = file.into_temp_path();
    std::fs::rename(other.path(), &path).unwrap();
    assert_eq!(map.check_unchanged(), Err(Change::Replaced));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(map.check_unchanged(), Err(Change::Gone(io::ErrorKind::NotFound)));
}

#[test]
fn a_slice_outlives_its_map_handle() {
    let (_file, map) = mapped(5000);
    let slice = map.bytes().slice(4990..);
    drop(map);
    assert_eq!(slice.as_ref(), [7; 10]);
}

/// A fault that is not ours must end the process as it would without the guard: run in a child.
#[cfg(unix)]
#[test]
fn a_fault_elsewhere_ends_the_process_as_before() {
    use std::os::unix::process::ExitStatusExt as _;
    if std::env::var_os("ONNXPRESS_TEST_FOREIGN_FAULT").is_some() {
        let (_file, _map) = mapped(5000);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 5000]).unwrap();
        // SAFETY: not sound, and meant so: the file is cut and the map touched, without a guard.
        let foreign = unsafe { Mmap::map(&file).unwrap() };
        file.set_len(0).unwrap();
        assert_eq!(std::hint::black_box(foreign[0]), 1);
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "map::tests::a_fault_elsewhere_ends_the_process_as_before"])
        .env("ONNXPRESS_TEST_FOREIGN_FAULT", "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(libc::SIGBUS));
}
