//! Fetching keeps only files with the right checksum, and explains what to do without internet access.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;

use exporter::data::Dataset;
use exporter::data::fetch::{Download, Keep, downloads, fetch};

/// MD5 of `hello`.
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compressing in memory");
    encoder.finish().expect("compressing in memory")
}

/// The address of a server that answers one request with `body`.
fn serve_once(body: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .and_then(|()| stream.write_all(&body))
            .expect("the answer is sent");
    });
    format!("http://{address}/file")
}

fn fetch_one(url: String, md5: &'static str, keep: Keep, folder: &Path) -> Result<(), String> {
    fetch(&[Download { url, md5, keep }], folder, &ProgressBar::hidden()).map_err(|error| error.to_string())
}

#[test]
fn a_file_with_the_right_checksum_is_kept_and_not_fetched_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = gzipped(b"hello");
    let url = serve_once(file.clone());
    fetch_one(url.clone(), HELLO, Keep::Gzip("a.gz"), folder.path()).expect("the right file");
    assert_eq!(std::fs::read(folder.path().join("a.gz")).expect("kept"), file);
    // The server is gone, so a second request would fail.
    fetch_one(url, HELLO, Keep::Gzip("a.gz"), folder.path()).expect("there already");
}

#[test]
fn a_file_with_another_checksum_or_cut_off_is_not_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cut = gzipped(b"hello");
    cut.truncate(cut.len() - 3);
    for (body, reason) in [(gzipped(b"other"), "expected 5d41402a"), (cut, "not a whole gzip file")] {
        let message = fetch_one(serve_once(body), HELLO, Keep::Gzip("a.gz"), folder.path()).expect_err("a wrong file");
        assert!(message.contains(reason), "{message}");
        assert!(!folder.path().join("a.gz").exists());
    }
}

#[test]
fn of_an_archive_the_named_files_are_kept_without_its_folders() {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["folder/a.bin", "folder/b.bin", "../c.bin"] {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(5);
        header.set_cksum();
        archive.append(&header, &b"hello"[..]).expect("written in memory");
    }
    let bytes = gzipped(&archive.into_inner().expect("written in memory"));
    let digest = <md5::Md5 as md5::Digest>::digest(&bytes);
    let md5: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let md5: &'static str = md5.leak();

    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    fetch_one(serve_once(bytes.clone()), md5, Keep::FromArchive(vec!["b.bin", "c.bin"]), &data).expect("an archive");
    let mut kept: Vec<_> =
        std::fs::read_dir(&data).expect("a folder").map(|e| e.expect("a file").file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["b.bin", "c.bin"]);

    let message = fetch_one(serve_once(bytes), md5, Keep::FromArchive(vec!["d.bin"]), &data).expect_err("no d.bin");
    assert!(message.contains("d.bin is not in the archive"), "{message}");
}

#[test]
fn without_internet_the_error_says_which_files_belong_into_which_folder() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = format!("http://{}/x", listener.local_addr().expect("an address"));
    drop(listener);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = fetch_one(url, HELLO, Keep::Gzip("a.gz"), folder.path()).expect_err("nobody listens");
    assert!(message.ends_with(&format!("put a.gz into {}", folder.path().display())), "{message}");
}

#[test]
fn every_file_that_a_data_set_is_read_from_is_fetched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for dataset in [Dataset::Mnist, Dataset::FashionMnist, Dataset::Cifar10, Dataset::Cifar100] {
        let files: Vec<_> = downloads(dataset)
            .into_iter()
            .flat_map(|download| match download.keep {
                Keep::Gzip(name) => vec![name],
                Keep::FromArchive(names) => names,
            })
            .collect();
        for part in [dataset.train(folder.path()), dataset.test(folder.path())] {
            let message = part.expect_err("an empty folder").to_string();
            assert!(files.iter().any(|file| message.contains(file)), "{message}: not among {files:?}");
        }
    }
}
