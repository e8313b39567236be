import Foundation
import LoaderBed
import TestNetwork

/// A run of the built executable under strace, which makes one of its system calls fail or kills it there. The product
/// has no door for that, and needs none.
struct TracedRun {
    /// One call of a run: the `ordinal`-th of its name, from 1.
    struct Call: Hashable {
        var name: String
        var ordinal: Int
        /// As strace prints it, for people.
        var text: String

        /// Whether something outside of the process may be other afterwards.
        var isChange: Bool {
            switch name {
            case "bpf":
                !["_GET", "_LOOKUP", "INFO", "BTF_LOAD", "PROG_LOAD", "MAP_CREATE"].contains { text.contains($0) }
            case "rename", "unlink", "rmdir", "mkdir", "write", "fsync", "sendto", "sendmsg": true
            case "mmap": text.contains("MAP_SHARED")
            case "openat": text.contains("O_CREAT")
            default: false
            }
        }
    }

    enum Fault: Hashable, CustomStringConvertible {
        case error(String)
        /// The call is not made.
        case kill

        var description: String {
            switch self {
            case .error(let name): "error=\(name)"
            case .kill: "signal=KILL"
            }
        }
    }

    /// As a shell sees it: 137 after SIGKILL.
    var status: Int32
    var errors: String
    /// The calls from the first that concerns the node on, in order. Empty for runs with a fault.
    var calls: [Call] = []

    /// Calls that cannot fail, or whose failure is the C library's own business.
    private static let ignored: Set<String> = [
        "brk", "getpid", "gettid", "futex", "exit_group", "rt_sigaction", "rt_sigprocmask", "clock_nanosleep",
        "mprotect",
        "sched_getaffinity", "uname", "madvise",
    ]

    /// Runs weir on the node and lists its calls.
    static func listing(_ arguments: [String], on place: LoaderFixture.Place) throws -> TracedRun {
        let log = "\(place.stateDirectory)-calls"
        defer { try? FileManager.default.removeItem(atPath: log) }
        var run = try start(["strace", "-o", log, "-s", "200"], arguments, on: place)
        var ordinals: [String: Int] = [:]
        var concerned = false
        for line in try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n") {
            guard let end = line.firstIndex(of: "("), line.first?.isLetter == true else { continue }
            let name = String(line[..<end])
            ordinals[name, default: 0] += 1
            // What comes before is the dynamic linker's, and the policy is read.
            concerned =
                concerned || name == "bpf"
                || name != "execve" && (line.contains("\"\(place.pinPath)") || line.contains("/lock\""))
            guard concerned, !ignored.contains(name) else { continue }
            run.calls.append(Call(name: name, ordinal: ordinals[name, default: 0], text: String(line.prefix(160))))
        }
        return run
    }

    /// Runs weir on the node with one fault.
    static func faulty(
        _ arguments: [String], _ fault: Fault, at call: Call, on place: LoaderFixture.Place
    ) throws -> TracedRun {
        try start(
            [
                "strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=\(call.name)", "-e",
                "inject=\(call.name):\(fault):when=\(call.ordinal)",
            ], arguments, on: place)
    }

    private static func start(
        _ tracer: [String], _ arguments: [String], on place: LoaderFixture.Place
    ) throws -> TracedRun {
        let words =
            [
                "env", "SWIFT_BACKTRACE=enable=no", "nsenter", "--net=/run/netns/\(place.node)", "timeout", "-s",
                "KILL", "60",
            ] + tracer
            + [try builtExecutable()] + arguments
            + ["--pin-path", place.pinPath, "--state-dir", place.stateDirectory, "--timeout", "2"]
        // Standard output is the policy's; what is wrong is on the other stream.
        let (status, errors) = try attempt(["sh", "-c", "\"$@\" >/dev/null; exit $?", "sh"] + words)
        return TracedRun(status: status, errors: errors)
    }
}
