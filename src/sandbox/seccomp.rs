//! The seccomp programs of a step: which system calls it may not make.
//!
//! In the spirit of Docker's default profile, as a list of what is refused: what would leave the
//! sandbox, what changes the whole machine, and interfaces with a long record of kernel bugs.
//! Other architectures of the same processor are covered, as their numbers differ.

use libc::sock_filter;

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The low half of argument `index` on a little-endian machine.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
const AUDIT_AARCH64: u32 = 0xc000_00b7;
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = AUDIT_X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = AUDIT_AARCH64;

/// Numbers of the x32 architecture, which shares its audit number with x86_64.
const X32_BIT: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const HAND_OVER: u32 = libc::SECCOMP_RET_USER_NOTIF;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const NOT_IMPLEMENTED: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
/// Success without doing anything.
const PRETEND: u32 = libc::SECCOMP_RET_ERRNO;

/// `CLONE_NEW*`: a new user namespace would give back every capability.
const NEW_NAMESPACES: u32 = 0x7e02_0080;

const NATIVE_REFUSED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    libc::SYS_umount2,
    libc::SYS_unshare,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// The same calls for 32-bit programs on x86_64 (`arch/x86/entry/syscalls/syscall_32.tbl`).
const I386_REFUSED: &[u32] = &[
    21, 22, 25, 51, 52, 79, 86, 87, 88, 101, 103, 110, 111, 113, 115, 128, 129, 131, 135, 166, 169,
    217, 253, 264, 283, 286, 287, 288, 310, 336, 338, 342, 343, 346, 350, 357, 374, 404, 405, 425,
    426, 427, 428, 429, 430, 431, 432, 433, 442, 443, 467,
];
const I386_CLONE: u32 = 120;
const I386_PRLIMIT64: u32 = 340;
const I386_IOCTL: u32 = 54;
/// The same number everywhere.
const CLONE3: u32 = 435;
/// `open_tree_attr(2)`, Linux 6.15: the same number everywhere.
const OPEN_TREE_ATTR: libc::c_long = 467;
/// `socket`; the older `socketcall` takes its arguments in memory, where no program can look.
const I386_SOCKET: u32 = 359;
/// Sockets to the hypervisor, whatever the network namespace; Docker refuses them too.
const REFUSED_FAMILY: u32 = libc::AF_VSOCK as u32;

/// Pushes input into a terminal, or switches a console.
const REFUSED_IOCTLS: [u32; 2] = [libc::TIOCSTI as u32, 0x541c];

/// The program that every step gets.
pub fn program() -> Vec<sock_filter> {
    let native: Vec<u32> = NATIVE_REFUSED
        .iter()
        .filter_map(|number| u32::try_from(*number).ok())
        .collect();
    let mut native_part = Vec::new();
    if NATIVE == AUDIT_X86_64 {
        native_part.extend(return_if(JUMP_AT_LEAST, X32_BIT, NOT_IMPLEMENTED));
    }
    native_part.extend(calls(
        &native,
        &Inspected {
            clone: libc::SYS_clone as u32,
            ioctl: libc::SYS_ioctl as u32,
            socket: libc::SYS_socket as u32,
        },
    ));
    let mut program = vec![load(ARCHITECTURE)];
    program.extend(on_architecture(NATIVE, native_part));
    if NATIVE == AUDIT_X86_64 {
        let inspected = Inspected {
            clone: I386_CLONE,
            ioctl: I386_IOCTL,
            socket: I386_SOCKET,
        };
        let part = calls(I386_REFUSED, &inspected);
        program.extend(on_architecture(AUDIT_I386, part));
    }
    program.push(give(REFUSE));
    program
}

/// The program for a step that sees processes outside: their limits are not to be changed, which
/// would end them as well as a signal.
pub fn shared_processes_program() -> Vec<sock_filter> {
    // Refused for any process but the calling one, which has the number 0.
    let mut limits = vec![load(argument(0))];
    limits.extend(return_if(JUMP_EQUAL, 0, ALLOW));
    limits.push(give(REFUSE));
    let mut native = on_number(libc::SYS_prlimit64 as u32, limits.clone());
    native.push(give(ALLOW));
    let mut program = vec![load(ARCHITECTURE)];
    program.extend(on_architecture(NATIVE, native));
    if NATIVE == AUDIT_X86_64 {
        let mut part = on_number(I386_PRLIMIT64, limits);
        part.push(give(ALLOW));
        program.extend(on_architecture(AUDIT_I386, part));
    }
    program.push(give(ALLOW));
    program
}

/// The program for a namespace with a single id, where the kernel refuses every other id: changes
/// of ownership are handed over to be recorded, changes of the own identity do nothing.
pub fn single_id_program() -> Vec<sock_filter> {
    let handed_over = [
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown,
        libc::SYS_fchown,
        libc::SYS_fchownat,
    ];
    let pretended = [
        libc::SYS_setgroups,
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setreuid,
        libc::SYS_setregid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setfsuid,
        libc::SYS_setfsgid,
    ];
    let mut part = Vec::new();
    for number in handed_over {
        part.extend(return_if(JUMP_EQUAL, number as u32, HAND_OVER));
    }
    for number in pretended {
        part.extend(return_if(JUMP_EQUAL, number as u32, PRETEND));
    }
    part.push(give(ALLOW));
    let mut whole = vec![load(NUMBER)];
    whole.append(&mut part);
    let mut program = vec![load(ARCHITECTURE)];
    program.extend(on_architecture_body(NATIVE, whole));
    program.push(give(ALLOW));
    program
}

/// The calls of one architecture whose arguments decide.
struct Inspected {
    clone: u32,
    ioctl: u32,
    socket: u32,
}

/// The checks of one architecture, from the number in the accumulator to a verdict.
fn calls(refused: &[u32], inspected: &Inspected) -> Vec<sock_filter> {
    let mut part = Vec::new();
    // The C library then falls back to clone, whose flags can be looked at.
    part.extend(return_if(JUMP_EQUAL, CLONE3, NOT_IMPLEMENTED));
    for number in refused {
        part.extend(return_if(JUMP_EQUAL, *number, REFUSE));
    }
    let mut flags = vec![load(argument(0))];
    flags.extend(return_if(JUMP_ANY_BIT, NEW_NAMESPACES, REFUSE));
    flags.push(give(ALLOW));
    part.extend(on_number(inspected.clone, flags));
    let mut requests = vec![load(argument(1))];
    for request in REFUSED_IOCTLS {
        requests.extend(return_if(JUMP_EQUAL, request, REFUSE));
    }
    requests.push(give(ALLOW));
    part.extend(on_number(inspected.ioctl, requests));
    let mut family = vec![load(argument(0))];
    family.extend(return_if(JUMP_EQUAL, REFUSED_FAMILY, REFUSE));
    family.push(give(ALLOW));
    part.extend(on_number(inspected.socket, family));
    part.push(give(ALLOW));
    part
}

fn on_architecture(architecture: u32, part: Vec<sock_filter>) -> Vec<sock_filter> {
    let mut body = vec![load(NUMBER)];
    body.extend(part);
    on_architecture_body(architecture, body)
}

/// Skips `body` on any other architecture. A body may be longer than a conditional jump reaches.
fn on_architecture_body(architecture: u32, body: Vec<sock_filter>) -> Vec<sock_filter> {
    let always = (libc::BPF_JMP | libc::BPF_JA) as u16;
    let mut part = vec![
        jump(JUMP_EQUAL, architecture, 1, 0),
        sock_filter {
            code: always,
            jt: 0,
            jf: 0,
            k: body.len() as u32,
        },
    ];
    part.extend(body);
    part
}

/// Skips `body` for any other number.
fn on_number(number: u32, body: Vec<sock_filter>) -> Vec<sock_filter> {
    let mut part = vec![jump(JUMP_EQUAL, number, 0, body.len() as u8)];
    part.extend(body);
    part
}

fn return_if(test: u16, value: u32, verdict: u32) -> [sock_filter; 2] {
    [jump(test, value, 0, 1), give(verdict)]
}

fn load(offset: u32) -> sock_filter {
    sock_filter {
        code: LOAD_WORD,
        jt: 0,
        jf: 0,
        k: offset,
    }
}

fn give(verdict: u32) -> sock_filter {
    sock_filter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: verdict,
    }
}

fn jump(test: u16, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter {
        code: test,
        jt: if_true,
        jf: if_false,
        k: value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would.
    fn verdict(
        program: &[sock_filter],
        architecture: u32,
        number: u32,
        arguments: [u64; 2],
    ) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(architecture.to_le_bytes());
        data.extend(0u64.to_le_bytes());
        arguments
            .iter()
            .for_each(|argument| data.extend(argument.to_le_bytes()));
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let instruction = program[at];
            at += 1;
            let value = instruction.k;
            let holds = match instruction.code {
                LOAD_WORD => {
                    let at = value as usize;
                    accumulator = u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
                    continue;
                }
                RETURN => return value,
                JUMP_EQUAL => accumulator == value,
                JUMP_AT_LEAST => accumulator >= value,
                JUMP_ANY_BIT => accumulator & value != 0,
                _ => {
                    at += value as usize;
                    continue;
                }
            };
            at += usize::from(if holds {
                instruction.jt
            } else {
                instruction.jf
            });
        }
    }

    #[test]
    fn what_leaves_the_sandbox_is_refused() {
        let program = program();
        let native =
            |number: libc::c_long, arguments| verdict(&program, NATIVE, number as u32, arguments);
        assert_eq!(native(libc::SYS_read, [0; 2]), ALLOW);
        assert_eq!(native(libc::SYS_mount, [0; 2]), REFUSE);
        assert_eq!(native(libc::SYS_keyctl, [0; 2]), REFUSE);
        assert_eq!(native(libc::SYS_clone3, [0; 2]), NOT_IMPLEMENTED);
        assert_eq!(native(libc::SYS_clone, [libc::SIGCHLD as u64, 0]), ALLOW);
        assert_eq!(
            native(libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0]),
            REFUSE
        );
        assert_eq!(native(libc::SYS_ioctl, [0, libc::TIOCSTI]), REFUSE);
        assert_eq!(
            native(libc::SYS_ioctl, [0, libc::TIOCSTI | 1 << 32]),
            REFUSE
        );
        assert_eq!(native(libc::SYS_ioctl, [0, libc::TIOCGWINSZ]), ALLOW);
        assert_eq!(native(libc::SYS_socket, [libc::AF_INET as u64, 0]), ALLOW);
        assert_eq!(native(libc::SYS_socket, [libc::AF_VSOCK as u64, 0]), REFUSE);
        assert_eq!(verdict(&program, 0x1234, 0, [0; 2]), REFUSE);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn other_architectures_of_the_processor_are_covered() {
        let program = program();
        assert_eq!(
            verdict(&program, AUDIT_X86_64, X32_BIT | 1, [0; 2]),
            NOT_IMPLEMENTED
        );
        assert_eq!(verdict(&program, AUDIT_I386, 21, [0; 2]), REFUSE);
        assert_eq!(verdict(&program, AUDIT_I386, 3, [0; 2]), ALLOW);
        assert_eq!(verdict(&program, AUDIT_I386, 310, [0; 2]), REFUSE);
        assert_eq!(
            verdict(&program, AUDIT_I386, I386_CLONE, [0x1000_0000, 0]),
            REFUSE
        );
    }

    #[test]
    fn limits_of_others_are_not_to_be_changed() {
        let program = shared_processes_program();
        let of = |number: libc::c_long, pid| verdict(&program, NATIVE, number as u32, [pid, 0]);
        assert_eq!(of(libc::SYS_prlimit64, 0), ALLOW);
        assert_eq!(of(libc::SYS_prlimit64, 1), REFUSE);
        assert_eq!(of(libc::SYS_read, 1), ALLOW);
        if NATIVE == AUDIT_X86_64 {
            assert_eq!(
                verdict(&program, AUDIT_I386, I386_PRLIMIT64, [1, 0]),
                REFUSE
            );
        }
    }

    #[test]
    fn ownership_is_handed_over_with_a_single_id() {
        let program = single_id_program();
        let of = |number: libc::c_long| verdict(&program, NATIVE, number as u32, [0; 2]);
        assert_eq!(of(libc::SYS_fchownat), HAND_OVER);
        assert_eq!(of(libc::SYS_setresuid), PRETEND);
        assert_eq!(of(libc::SYS_read), ALLOW);
    }
}
