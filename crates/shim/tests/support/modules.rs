//! Modules in text form that several tests run.

/// Runs for ever.
pub(crate) const LOOP: &str = r#"(module (func (export "_start") (loop (br 0))))"#;

/// Answers the CGI way, and logs a line.
pub(crate) const CGI: &str = r#"
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\21\00\00\00")
  (data (i32.const 8) "\40\00\00\00\07\00\00\00")
  (data (i32.const 16) "Content-Type: text/plain\0a\0ahello\0a\0a")
  (data (i32.const 64) "logged\0a")
  (func (export "_start")
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 128)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 128)))))"#;
