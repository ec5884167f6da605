//! The function `aes` as a component. Its cipher differs from the native program's, because
//! WebAssembly has no instructions for AES.

#[cfg(not(target_arch = "wasm32"))]
mod blocks;
mod cfb;
mod handler;
#[cfg(any(test, target_arch = "wasm32"))]
mod permute;
#[cfg(any(test, target_arch = "wasm32"))]
mod vector;

#[cfg(target_arch = "wasm32")]
use permute as blocks;

function::component!(handler::handle);
