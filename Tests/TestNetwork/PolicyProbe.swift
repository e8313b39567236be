internal import Foundation
internal import Synchronization
internal import WeirNetlink

/// Datagrams from one pod to two ports of another, in pairs, without a pause, from the first moment to the last. What
/// arrives of each pair says by which policy it was judged, so a whole run is read like a strip of film.
///
/// Every pair is sent twice: by one socket all the time (an established flow) and by a new one (a new flow).
package final class PolicyProbe: Sendable {
    /// What is let through of a pair.
    package struct Verdict: Hashable, Sendable, CustomStringConvertible {
        package var first: Bool
        package var second: Bool

        package init(first: Bool, second: Bool) {
            self.first = first
            self.second = second
        }

        package static let both = Verdict(first: true, second: true)
        package static let onlyFirst = Verdict(first: true, second: false)
        package static let onlySecond = Verdict(first: false, second: true)

        package var description: String {
            switch (first, second) {
            case (true, true): "both"
            case (true, false): "first"
            case (false, true): "second"
            case (false, false): "none"
            }
        }
    }

    private enum Flow: UInt8, CaseIterable { case established, new }

    private let receivers: [Int32]
    private let sent = Atomic<UInt32>(0)
    private let isStopped = Atomic<Bool>(false)
    private let hasEnded = Atomic<Bool>(false)
    /// By flow, port and number of the pair.
    private let arrived = Mutex<[Flow: [Set<UInt32>]]>([:])

    /// Sends from a network namespace to two UDP ports of an address, which a socket in another one is given.
    package init(from source: String, to target: String, address: String, ports: [UInt16]) throws {
        receivers = try NetworkNamespace(path: "/run/netns/\(target)").run {
            try ports.map { port in
                let receiver = try Self.socket()
                var size: Int32 = 32 << 20
                // SAFETY: the option is read during the call.
                unsafe _ = setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
                // SAFETY: the name is read during the call.
                try unsafe Self.with(address, port) { unsafe bind(receiver, $0, $1) }
                return receiver
            }
        }
        let namespace = "/run/netns/\(source)"
        let thread = Thread { [self] in
            try? NetworkNamespace(path: namespace).run { try send(to: address, ports) }
            hasEnded.store(true, ordering: .releasing)
        }
        thread.start()
        // Neighbours are found out first, so that nothing is lost later.
        let deadline = Date.now + 10
        while strip(0..<1, .established) != [.both], Date.now < deadline { usleep(5000) }
    }

    deinit { for receiver in receivers { close(receiver) } }

    package func stop() {
        isStopped.store(true, ordering: .releasing)
        while !hasEnded.load(ordering: .acquiring) { usleep(1000) }
    }

    /// The number of the next pair: a place on the strip.
    package var position: UInt32 { sent.load(ordering: .acquiring) }

    /// A place on the strip after at least two pairs more.
    package func next() -> UInt32 {
        let place = position + 2
        while position < place, !hasEnded.load(ordering: .acquiring) { usleep(500) }
        return position
    }

    /// Reads the strip between two places: nil where it begins with `old`, changes once at most, and ends with
    /// `new`; else what is wrong. One pair may have met both, the first of it the old policy.
    ///
    /// Where clsact itself comes or goes, the kernel takes the interface down and up and loses packets:
    /// `lossIsPossible` then asks only that nothing is let through which is to be refused.
    package func contradiction(
        from start: UInt32, to end: UInt32, old: Verdict, new: Verdict, lossIsPossible: Bool = false
    ) -> String? {
        for flow in Flow.allCases {
            var found: String?
            // What is on its way arrives.
            for _ in 0..<40 {
                found = Self.contradiction(strip(start..<end, flow), old: old, new: new, lossIsPossible)
                if found == nil { break }
                usleep(25_000)
            }
            if let found { return "\(flow) flow: \(found)" }
        }
        return nil
    }

    /// What was let through of each pair between two places, flow by flow; what is on its way may be missing.
    package func verdicts(from start: UInt32, to end: UInt32) -> [[Verdict]] {
        usleep(20_000)
        return Flow.allCases.map { strip(start..<end, $0) }
    }

    private static func contradiction(
        _ strip: [Verdict], old: Verdict, new: Verdict, _ lossIsPossible: Bool
    ) -> String? {
        func isOf(_ policy: Verdict, _ verdict: Verdict) -> Bool {
            verdict == policy
                || lossIsPossible && (policy.first || !verdict.first) && (policy.second || !verdict.second)
        }
        var rest = strip[...].drop { isOf(old, $0) }
        if old != new {
            let mixed = Verdict(first: old.first, second: new.second)
            if let first = rest.first, isOf(mixed, first) { rest = rest.dropFirst() }
            rest = rest.drop { isOf(new, $0) }
            if rest.isEmpty, let last = strip.last, !isOf(new, last) {
                return "no pair was judged by the policy in force in the end"
            }
        }
        guard let wrong = rest.first else { return nil }
        let runs = strip.reduce(into: [(Verdict, Int)]()) { runs, verdict in
            if runs.last?.0 == verdict { runs[runs.count - 1].1 += 1 } else { runs.append((verdict, 1)) }
        }
        let text = runs.prefix(12).map { "\($0.1) x \($0.0)" }.joined(separator: ", ")
        return "pair \(rest.startIndex) of \(strip.count) let through \(wrong); old \(old), new \(new): \(text)"
    }

    private func strip(_ pairs: Range<UInt32>, _ flow: Flow) -> [Verdict] {
        drain()
        return arrived.withLock { arrived in
            let ports = arrived[flow] ?? [[], []]
            return pairs.map { Verdict(first: ports[0].contains($0), second: ports[1].contains($0)) }
        }
    }

    private func drain() {
        for (port, receiver) in receivers.enumerated() {
            var bytes = [UInt8](repeating: 0, count: 8)
            while true {
                // SAFETY: the buffer is the array's own.
                let count = unsafe bytes.withUnsafeMutableBytes {
                    unsafe recv(receiver, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
                }
                guard count == 5, let flow = Flow(rawValue: bytes[4]) else { break }
                let pair = bytes[..<4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                arrived.withLock { _ = $0[flow, default: [[], []]][port].insert(pair) }
            }
        }
    }

    private func send(to address: String, _ ports: [UInt16]) throws {
        // One CPU: packets of one CPU do not overtake each other.
        let thread = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
        try run("taskset", "-cp", "0", (thread as NSString).lastPathComponent)
        let established = try Self.socket()
        defer { close(established) }
        while !isStopped.load(ordering: .acquiring) {
            let pair = sent.load(ordering: .relaxed)
            let new = try Self.socket()
            for (flow, socket) in [(Flow.established, established), (.new, new)] {
                let bytes = (0..<4).map { UInt8(truncatingIfNeeded: pair >> (8 * $0)) } + [flow.rawValue]
                for port in ports {
                    // SAFETY: the name and the datagram's bytes are read during the call.
                    try unsafe Self.with(address, port) { target, length in
                        unsafe bytes.withUnsafeBytes {
                            unsafe Int32(sendto(socket, $0.baseAddress, $0.count, 0, target, length))
                        }
                    }
                }
            }
            close(new)
            sent.store(pair + 1, ordering: .releasing)
            usleep(1000)
        }
    }

    private static func socket() throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw CommandFailure(description: "socket: \(errno)") }
        return socket
    }

    private static func with(
        _ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        // SAFETY: only the four bytes of the address are written; the name lives during the call.
        unsafe _ = inet_pton(AF_INET, address, &name.sin_addr)
        let result = unsafe withUnsafePointer(to: &name) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result >= 0 else { throw CommandFailure(description: "UDP socket: \(errno)") }
    }
}
