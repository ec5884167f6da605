//! Vectors of sixteen bytes, with the few operations of the cipher by permutation.
//!
//! In a component each operation is one instruction. The other implementation exists for native
//! tests of the same cipher.

#[cfg(target_arch = "wasm32")]
mod operations {
    use core::arch::wasm32::{
        i8x16_relaxed_swizzle, u32x4_shr, u64x2, u64x2_extract_lane, v128, v128_and, v128_andnot,
        v128_xor,
    };

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Vector(v128);

    impl Vector {
        pub(crate) const fn new(bytes: u128) -> Vector {
            #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
            let low = bytes as u64;
            Vector(u64x2(low, (bytes >> 64) as u64))
        }

        #[inline]
        pub(crate) fn bytes(self) -> u128 {
            let low = u128::from(u64x2_extract_lane::<0>(self.0));
            let high = u128::from(u64x2_extract_lane::<1>(self.0));
            high << 64 | low
        }

        #[inline]
        pub(crate) fn xor(self, other: Vector) -> Vector {
            Vector(v128_xor(self.0, other.0))
        }

        /// The low and the high half of each byte.
        #[inline]
        pub(crate) fn nibbles(self) -> (Vector, Vector) {
            const LOW: v128 = u64x2(0x0f0f_0f0f_0f0f_0f0f, 0x0f0f_0f0f_0f0f_0f0f);
            let low = v128_and(self.0, LOW);
            (Vector(low), Vector(u32x4_shr(v128_andnot(self.0, LOW), 4)))
        }

        /// For each index below 16 the byte of `self` at that index, and zero for an index of 128
        /// and above. Other indices must not be used: processors differ in them, and thus each
        /// processor has a single instruction for this.
        #[inline]
        pub(crate) fn at(self, indices: Vector) -> Vector {
            Vector(i8x16_relaxed_swizzle(self.0, indices.0))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod operations {
    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Vector(u128);

    impl Vector {
        pub(crate) const fn new(bytes: u128) -> Vector {
            Vector(bytes)
        }

        pub(crate) fn bytes(self) -> u128 {
            self.0
        }

        pub(crate) fn xor(self, other: Vector) -> Vector {
            Vector(self.0 ^ other.0)
        }

        pub(crate) fn nibbles(self) -> (Vector, Vector) {
            const LOW: u128 = u128::from_le_bytes([0x0f; 16]);
            (Vector(self.0 & LOW), Vector((self.0 & !LOW) >> 4))
        }

        pub(crate) fn at(self, indices: Vector) -> Vector {
            let bytes = self.0.to_le_bytes();
            let picked = indices.0.to_le_bytes().map(|index| match index {
                0..16 => bytes[usize::from(index)],
                16..128 => panic!("processors differ in the index {index}"),
                128.. => 0,
            });
            Vector(u128::from_le_bytes(picked))
        }
    }
}

pub(crate) use operations::Vector;
