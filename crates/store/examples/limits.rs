//! What one thread of this machine can do with the bytes of some files, step by step: the limits that a backup runs into.
//!
//! `limits FOLDER [MEGABYTES]` reads that much of the folder's files into memory (400 MB unless told; pages of zeros are left
//! out), lets each step have all of it, and prints its speed in GB/s of what went in. No step writes anything.

// It measures time, and is nothing that anybody depends on.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::disallowed_methods)]

use std::{
    fs::{self, File},
    hint::black_box,
    io::Read,
    path::Path,
    process::ExitCode,
    time::Instant,
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use fastcdc::v2020::FastCDC;
use reed_solomon_simd::ReedSolomonEncoder;
use zstd::zstd_safe::{CParameter, Strategy};

/// What is compressed and encrypted at a time, as in a frame.
const FRAME: usize = 4 << 20;
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
        } else if about.is_file()
            && let Ok(mut file) = File::open(&path)
        {
            let mut piece = vec![0; PAGE.max(about.len().min(FRAME as u64) as usize)];
            while let Ok(read @ 1..) = file.read(&mut piece)
                && into.len() < wanted
            {
                piece[..read]
                    .chunks(PAGE)
                    .filter(|page| page.iter().any(|byte| *byte != 0))
                    .for_each(|page| into.extend(page));
            }
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
        black_box(FastCDC::new(&bytes, 256 << 10, 1 << 20, 2 << 20).count());
    });
    // As in frames: see the store's frame.rs.
    let ours = [
        CParameter::Strategy(Strategy::ZSTD_fast),
        CParameter::WindowLog(22),
        CParameter::HashLog(17),
        CParameter::MinMatch(6),
    ];
    for (name, level, parameters) in
        [("zstd as in frames", 3, &ours[..]), ("zstd level 1", 1, &[]), ("zstd level 3", 3, &[])]
    {
        let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
        parameters.iter().for_each(|parameter| compressor.set_parameter(*parameter).unwrap());
        let mut frames = Vec::new();
        speed(name, length, || {
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
    let mut encoder = ReedSolomonEncoder::new(1024, 16, PAGE).unwrap();
    speed("parity", bytes.len() / FRAME * FRAME, || {
        for group in bytes.chunks_exact(FRAME) {
            group.chunks(PAGE).for_each(|page| encoder.add_original_shard(page).unwrap());
            black_box(encoder.encode().unwrap());
        }
    });
    ExitCode::SUCCESS
}
