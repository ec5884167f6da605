//! A device policy as a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`: the kernel runs it when a process opens a
//! device or makes a device file, and allows what it returns 1 for
//! ([kernel](https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller)).
//!
//! The program compares with the exceptions one after the other, without a loop or a map.

use super::policy::{Access, Kind, Policy};

/// An instruction as the kernel reads it: `struct bpf_insn` of `linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    pub(super) code: u8,
    /// The destination in the lower four bits, the source in the upper ones.
    pub(super) registers: u8,
    pub(super) offset: i16,
    pub(super) immediate: i32,
}

/// `BPF_LDX | BPF_MEM | BPF_W`: destination = the word at source + offset.
pub(super) const LOAD_WORD: u8 = 0x61;
/// `BPF_ALU | BPF_MOV | BPF_X`: destination = source, 32 bits.
pub(super) const MOVE: u8 = 0xbc;
/// `BPF_ALU | BPF_MOV | BPF_K`: destination = immediate, 32 bits.
pub(super) const SET: u8 = 0xb4;
/// `BPF_ALU | BPF_AND | BPF_K`: destination &= immediate, 32 bits.
pub(super) const AND: u8 = 0x54;
/// `BPF_ALU | BPF_RSH | BPF_K`: destination >>= immediate, 32 bits.
pub(super) const SHIFT_RIGHT: u8 = 0x74;
/// `BPF_JMP | BPF_JNE | BPF_K`: skips offset instructions unless destination == immediate.
pub(super) const SKIP_UNLESS: u8 = 0x55;
/// `BPF_JMP | BPF_JNE | BPF_X`: skips offset instructions unless destination == source.
pub(super) const SKIP_UNLESS_SAME: u8 = 0x5d;
/// `BPF_JMP | BPF_JEQ | BPF_K`: skips offset instructions if destination == immediate.
pub(super) const SKIP_IF: u8 = 0x15;
/// `BPF_JMP | BPF_EXIT`: returns register 0.
pub(super) const EXIT: u8 = 0x95;

/// Where the program returns its answer.
const ANSWER: u8 = 0;
/// The address of `struct bpf_cgroup_dev_ctx`, and later a scratch register.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const fn kind_number(kind: Kind) -> i32 {
    match kind {
        Kind::Block => 1,
        Kind::Char => 2,
    }
}

/// `BPF_DEVCG_ACC_MKNOD`, `_READ` and `_WRITE`.
fn access_bits(access: Access) -> i32 {
    i32::from(access.mknod) | i32::from(access.read) << 1 | i32::from(access.write) << 2
}

/// All three of them.
const EVERY_ACCESS: i32 = 7;

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: destination | source << 4,
        offset,
        immediate,
    }
}

fn answer(allow: bool) -> [Instruction; 2] {
    [
        instruction(SET, ANSWER, 0, 0, i32::from(allow)),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

/// The program of a policy.
pub(super) fn program(policy: &Policy) -> Vec<Instruction> {
    // access_type: the kind in the lower half, the access in the upper one; then major and minor.
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(LOAD_WORD, ACCESS, CONTEXT, 0, 0),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for (matched, access) in &policy.exceptions {
        let mut tests = vec![instruction(
            SKIP_UNLESS,
            KIND,
            0,
            0,
            kind_number(matched.kind),
        )];
        let access = access_bits(*access);
        if access != EVERY_ACCESS {
            tests.extend(access_tests(access, policy.allows_by_default));
        }
        for (register, number) in [(MAJOR, matched.major), (MINOR, matched.minor)] {
            if let Some(number) = number {
                tests.push(instruction(
                    SKIP_UNLESS,
                    register,
                    0,
                    0,
                    number.cast_signed(),
                ));
            }
        }
        // A test that fails skips the rest of the block.
        let block = tests.len() + answer(true).len();
        for (index, test) in tests.iter_mut().enumerate() {
            if [SKIP_UNLESS, SKIP_UNLESS_SAME, SKIP_IF].contains(&test.code) {
                test.offset = i16::try_from(block - index - 1).unwrap_or(i16::MAX);
            }
        }
        program.extend(tests);
        program.extend(answer(!policy.allows_by_default));
    }
    program.extend(answer(policy.allows_by_default));
    program
}

/// Whether an exception for `access` decides: one that allows decides when it has all of what is asked for, one that
/// denies when it has any of it.
fn access_tests(access: i32, denies: bool) -> [Instruction; 3] {
    let test = if denies {
        instruction(SKIP_IF, CONTEXT, 0, 0, 0)
    } else {
        instruction(SKIP_UNLESS_SAME, CONTEXT, ACCESS, 0, 0)
    };
    [
        instruction(MOVE, CONTEXT, ACCESS, 0, 0),
        instruction(AND, CONTEXT, 0, 0, access),
        test,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::policy::DeviceRule;
    use super::*;

    /// Runs a program as the kernel does.
    fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: i32) -> bool {
        let words = [
            kind_number(kind).unsigned_abs() | access.unsigned_abs() << 16,
            major,
            minor,
        ];
        let mut registers = [0_u32; 6];
        let mut next = 0;
        loop {
            let step = program[next];
            let (to, from) = (
                usize::from(step.registers & 15),
                usize::from(step.registers >> 4),
            );
            let immediate = step.immediate.cast_unsigned();
            let mut skip = false;
            match step.code {
                LOAD_WORD => {
                    registers[to] = words[usize::try_from(step.offset / 4).expect("a field")];
                }
                MOVE => registers[to] = registers[from],
                SET => registers[to] = immediate,
                AND => registers[to] &= immediate,
                SHIFT_RIGHT => registers[to] >>= immediate,
                SKIP_UNLESS => skip = registers[to] != immediate,
                SKIP_IF => skip = registers[to] == immediate,
                SKIP_UNLESS_SAME => skip = registers[to] != registers[from],
                EXIT => return registers[0] == 1,
                code => panic!("{code:#x} is no instruction of a filter"),
            }
            next += 1;
            if skip {
                next += usize::try_from(step.offset).expect("forwards");
            }
        }
    }

    const READ: i32 = 2;
    const WRITE: i32 = 4;
    const MAKE: i32 = 1;

    fn check(rules: &str, cases: &[(Kind, u32, u32, i32, bool)]) {
        let rules: Vec<DeviceRule> = serde_json::from_str(rules).expect("rules");
        let program = program(&Policy::of(&rules).expect("a policy"));
        for &(kind, major, minor, access, expected) in cases {
            let allowed = run(&program, kind, major, minor, access);
            assert_eq!(allowed, expected, "{kind:?} {major}:{minor} {access}");
        }
    }

    #[test]
    fn a_container_may_use_the_harmless_devices_and_make_files_of_all() {
        check(
            r#"[{"allow":false,"access":"rwm"}]"#,
            &[
                (Kind::Char, 1, 3, READ | WRITE, true),
                (Kind::Char, 136, 7, READ | WRITE, true),
                (Kind::Char, 1, 11, READ, false),
                (Kind::Char, 1, 11, MAKE, true),
                (Kind::Block, 1, 3, READ, false),
                (Kind::Block, 8, 0, READ, false),
                (Kind::Block, 8, 0, MAKE, true),
                (Kind::Block, 8, 0, MAKE | READ, false),
            ],
        );
    }

    #[test]
    fn an_exception_allows_what_it_has_whole() {
        check(
            r#"[{"allow":true,"type":"b","major":8,"access":"r"}]"#,
            &[
                (Kind::Block, 8, 5, READ, true),
                (Kind::Block, 8, 5, WRITE, false),
                (Kind::Block, 8, 5, READ | WRITE, false),
                (Kind::Block, 9, 5, READ, false),
            ],
        );
    }

    #[test]
    fn an_exception_denies_what_it_has_any_of() {
        check(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"access":"w"}]"#,
            &[
                (Kind::Block, 8, 5, READ, true),
                (Kind::Block, 8, 5, WRITE, false),
                (Kind::Block, 8, 5, READ | WRITE, false),
                (Kind::Block, 9, 5, READ | WRITE, true),
            ],
        );
    }
}
