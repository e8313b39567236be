import CBench
import Foundation
import Glibc

/// What one more packet costs, in real traffic from pod to pod: two judgements, the sender's egress and the receiver's
/// ingress.
enum TrafficRows {
    private static let name = "traffic"
    static let group = RowGroup(
        name: name, about: "added cost per packet from pod to pod: empty programs, weir, nftables", needsRoot: true,
        rows: rows)

    private static let measured: [TrafficBed.Between] = [
        .emptyProgram, .weir, .weirOneWay, .nftables, .nftablesConntrack,
    ]

    private static func rows(_ run: Run) throws -> [Row] {
        let bed = try TrafficBed(run)
        let sink = try succeed(try bed.inReceiver { cbench_udp_sink(TrafficBed.port) })
        defer { close(sink) }
        let sender = try succeed(
            try bed.inSender { unsafe cbench_udp_sender(TrafficBed.receiverAddress, TrafficBed.port) })
        defer { close(sender) }
        let packets = UInt32(run.choose(40_000, quick: 640))
        // Nothing is there twice: the second is the control.
        let rounds = try interleaved([.nothing, .nothing] + measured, rounds: run.choose(15, quick: 1)) { between in
            try bed.put(between)
            if between != .weirOneWay {
                // An answer makes it an established flow.
                _ = cbench_flood(sender, 1)
                _ = try succeed(cbench_answer(sink))
            }
            return try packetNanoseconds(sender, packets)
        }
        func added(_ column: Int) -> [Double] { rounds.map { $0[column] - $0[0] } }
        let absolute = "\(short(Samples(rounds.map { $0[0] }).median)) ns a packet with nothing between"
        var rows = [
            Row("\(name)/control", Samples(added(1)), .nanoseconds, note: "nothing less nothing; \(absolute)"),
            Row(
                "\(name)/empty", Samples(added(2)), .nanoseconds, peers: "120–140 ns, one hook",
                note: "a program of two instructions on both hooks"),
        ]
        let others: [(Int, String, Double?, String?)] = [
            (3, "weir", 1.3, "AWS 2, Cilium 5–6; nftables 2–5"), (4, "weir-one-way", nil, nil),
            (5, "nftables", nil, "230–340 ns"), (6, "nftables-conntrack", nil, "430–510 ns"),
        ]
        for (column, what, bound, peers) in others {
            rows.append(
                Row(
                    "\(name)/\(what)-over-empty",
                    Estimate(of: rounds) { rounds in
                        Samples(rounds.map { $0[column] - $0[0] }).median
                            / Samples(rounds.map { $0[2] - $0[0] }).median
                    }, .times, goal: bound.map { .atMost($0) }, peers: peers))
            rows.append(Row("\(name)/\(what)", Samples(added(column)), .nanoseconds))
        }
        return rows
    }

    /// The first decile of a round's parts: one in which the CPU was somebody else's for a while does not count.
    private static func packetNanoseconds(_ sender: Int32, _ packets: UInt32) throws -> Double {
        let part: UInt32 = 320
        return try onCPU(0) {
            var parts: [Double] = []
            for _ in 0..<packets / part {
                let time = cbench_flood(sender, part)
                _ = try succeed(Int32(min(time, 0)))
                parts.append(Double(time) / Double(part))
            }
            return Samples(parts).quantile(0.1)
        }
    }
}

/// Rounds of every condition, there and back again (A B C, C B A), so that a drift hits all alike. One line for each
/// pair of rounds, with the mean of both for each condition.
package func interleaved<Condition>(
    _ conditions: [Condition], rounds: Int, _ measure: (Condition) throws -> Double
) rethrows -> [[Double]] {
    try (0..<rounds).map { _ in
        let there = try conditions.map(measure)
        let back = try conditions.reversed().map(measure).reversed()
        return zip(there, back).map { ($0 + $1) / 2 }
    }
}

/// Runs the body on one CPU.
func onCPU<Value>(_ cpu: Int32, _ body: () throws -> Value) throws -> Value {
    _ = try succeed(cbench_pin(cpu))
    defer { _ = cbench_pin(-1) }
    return try body()
}
