//! Numbers drawn from a seed, so that a failing run can be run again.

/// A source of numbers that gives the same ones for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From `RESURGAM_SEED` if set, else from `default`; printed, so that a failing test shows it.
    pub fn for_test(test: &str, default: u64) -> Self {
        let seed = std::env::var("RESURGAM_SEED").ok().map_or(default, |text| {
            text.parse().unwrap_or_else(|_| panic!("RESURGAM_SEED must be a number, not `{text}`"))
        });
        println!("{test}: seed {seed} (RESURGAM_SEED={seed} repeats it)");
        Self::new(seed)
    }

    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// An index into something of `length` items.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A number from 0 up to but without 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `length` bytes that no compressor makes shorter.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// About `length` bytes of lines like those of source code.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        const WORDS: [&str; 24] = [
            "let", "fn", "point", "volume", "match", "return", "if", "else", "(", ")", "{", "}", ";", "=", "+",
            "replica", "struct", "impl", "u64", "self", "while", "for", "0x", "\n    ",
        ];
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(self.pick::<&str>(&WORDS));
            text.push(' ');
            if self.below(6) == 0 {
                text.push_str(&format!("{:x}\n", self.number() & 0xffff));
            }
        }
        text.truncate(length);
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        assert_eq!(a.bytes(100), b.bytes(100));
        assert_ne!(Random::new(7).number(), Random::new(8).number());
        assert_eq!(a.text(77).len(), 77);
        assert!((0..100).all(|_| a.fraction() < 1.0 && a.below(3) < 3));
    }
}
