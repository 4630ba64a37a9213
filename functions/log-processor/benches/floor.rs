//! The floor: what no version of this function can do without. libdeflate opens the delivery, zstd -1
//! compresses the same bytes again, with everything reused, and nothing happens in between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libdeflater::Decompressor;
use zstd::bulk::Compressor;

/// What is reused from batch to batch.
pub struct Floor {
    decompressor: Decompressor,
    compressor: Compressor<'static>,
    gzip: Vec<u8>,
    decoded: Vec<u8>,
    compressed: Vec<u8>,
}

impl Floor {
    /// With empty buffers.
    pub fn new() -> Floor {
        Floor {
            decompressor: Decompressor::new(),
            compressor: Compressor::new(1).expect("zstd has a level 1"),
            gzip: Vec::new(),
            decoded: Vec::new(),
            compressed: Vec::new(),
        }
    }

    /// Decompresses and compresses; returns how many bytes it comes to.
    pub fn run(&mut self, event: &str) -> usize {
        self.base64(event);
        self.gunzip();
        self.compress()
    }

    /// The first step.
    pub fn base64(&mut self, event: &str) {
        let data = event.rsplit('"').nth(1).expect("the corpus wraps the data in quotes");
        self.gzip.clear();
        STANDARD.decode_vec(data, &mut self.gzip).expect("the corpus encodes in base64");
    }

    /// The second step.
    pub fn gunzip(&mut self) {
        let size = self.gzip.last_chunk::<4>().expect("a gzip member ends in its size");
        self.decoded.resize(u32::from_le_bytes(*size) as usize, 0);
        self.decompressor.gzip_decompress(&self.gzip, &mut self.decoded).expect("the corpus is gzip");
    }

    /// The third step.
    pub fn compress(&mut self) -> usize {
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(self.decoded.len()));
        self.compressor.compress_to_buffer(&self.decoded, &mut self.compressed).expect("the buffer is large enough")
    }
}
