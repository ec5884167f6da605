//! The block cipher.

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};

pub(crate) struct Blocks(Aes128Enc);

impl Blocks {
    pub(crate) fn new(key: &[u8; 16]) -> Blocks {
        Blocks(Aes128Enc::new(key.into()))
    }

    pub(crate) fn encrypt(&self, blocks: &mut [[u8; 16]]) {
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    }
}
