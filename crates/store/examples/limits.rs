//! What one thread of this machine can do with the bytes of some files, step by step: the limits that a backup runs into.
//!
//! `limits FOLDER [MEGABYTES]` reads that much of the folder's files into memory (400 MB unless told), lets each step have all
//! of it, and prints its speed in GB/s of what went in. No step writes anything.

// It measures time, and is nothing that anybody depends on.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::disallowed_methods)]

use std::{fs, hint::black_box, path::Path, process::ExitCode, time::Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use fastcdc::v2020::FastCDC;

/// What is compressed and encrypted at a time, as in a frame.
const FRAME: usize = 1 << 20;
const PAGE: usize = 4096;

fn gather(folder: &Path, wanted: usize, into: &mut Vec<u8>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if into.len() >= wanted {
            return;
        }
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            gather(&path, wanted, into);
        } else if about.is_file() && about.len() <= wanted as u64 {
            into.extend(fs::read(&path).unwrap_or_default());
        }
    }
}

/// The best of three, as GB/s.
fn speed(name: &str, bytes: usize, mut step: impl FnMut()) {
    let best = (0..3)
        .map(|_| {
            let began = Instant::now();
            step();
            began.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    println!("{name:24} {:6.2}", bytes as f64 / best / 1e9);
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: limits FOLDER [MEGABYTES]");
        return ExitCode::from(2);
    };
    let wanted = arguments.next().map_or(400, |given| given.parse().unwrap()) * 1_000_000;
    let mut bytes = Vec::with_capacity(wanted);
    gather(Path::new(&folder), wanted, &mut bytes);
    let length = bytes.len();
    let key = [7; 32];

    speed("BLAKE3", length, || {
        for frame in bytes.chunks(FRAME) {
            black_box(blake3::keyed_hash(&key, frame));
        }
    });
    speed("BLAKE3 of 4 KiB", length, || {
        for page in bytes.chunks(PAGE) {
            black_box(blake3::keyed_hash(&key, page));
        }
    });
    speed("FastCDC", length, || {
        black_box(FastCDC::new(&bytes, 256 << 10, 1 << 20, 4 << 20).count());
    });
    for level in [1, 3] {
        let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
        let mut frames = Vec::new();
        speed(&format!("zstd level {level}"), length, || {
            frames = bytes.chunks(FRAME).map(|frame| compressor.compress(frame).unwrap()).collect();
        });
        let packed: usize = frames.iter().map(Vec::len).sum();
        println!("{:24} {:6.3}", "  of each byte is left", packed as f64 / length as f64);
        let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
        speed("  decompression", length, || {
            for frame in &frames {
                black_box(decompressor.decompress(frame, FRAME).unwrap());
            }
        });
    }
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    speed("AES-256-GCM", length, || {
        for frame in bytes.chunks_mut(FRAME) {
            let nonce = Nonce::assume_unique_for_key([3; 12]);
            let _ = black_box(cipher.seal_in_place_separate_tag(nonce, Aad::empty(), frame).unwrap());
        }
    });
    ExitCode::SUCCESS
}
