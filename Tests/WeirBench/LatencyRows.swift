import CBench
import Foundation
import Glibc

/// How long a request and its answer take from pod to pod, at a rate that leaves the CPUs idle most of the time.
enum LatencyRows {
    private static let name = "latency"
    static let group = RowGroup(
        name: name, about: "p50 and p99 of 3,200 TCP requests a second: off, on, nftables, and off again as a control",
        needsRoot: true,
        rows: rows)

    private static let ratePerSecond: UInt64 = 3_200
    private static let shares = [(0.5, "p50"), (0.99, "p99")]
    /// Off twice: what differs between them is noise.
    private static let conditions: [(between: TrafficBed.Between, name: String)] = [
        (.nothing, "off"), (.nothing, "control"), (.weir, "weir"), (.nftablesConntrack, "nftables"),
    ]

    private static func rows(_ run: Run) throws -> [Row] {
        let bed = try TrafficBed(run)
        let listener = try succeed(try bed.inReceiver { cbench_tcp_listener(TrafficBed.port) })
        defer { close(listener) }
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            _ = cbench_pin(1)
            _ = cbench_echo(listener)
            ended.signal()
        }
        defer {
            _ = cbench_shutdown(listener)
            ended.wait()
        }
        let count = run.choose(3_200, quick: 64)
        let rounds = try (0..<run.choose(12, quick: 1)).flatMap { _ -> [[Samples]] in
            let there = try conditions.map { try delays(bed, $0.between, count) }
            let back = try conditions.reversed().map { try delays(bed, $0.between, count) }
            return [there, back.reversed()]
        }
        return shares.flatMap { share, text in
            let columns = conditions.indices.map { column in rounds.map { $0[column].quantile(share) } }
            let absolute = zip(conditions, columns).map { "\($0.name) \(short(Samples($1).median / 1000)) µs" }
            return (1..<conditions.count).map { column in
                Row(
                    "\(name)/\(text)-\(conditions[column].name)-over-off",
                    Estimate(medianOf: zip(columns[column], columns[0]).map { $0 / $1 }), .times,
                    goal: conditions[column].between == .weir ? .intervalAtMost(1.05) : nil,
                    note: column == 1 ? absolute.joined(separator: ", ") : nil)
            }
        }
    }

    /// Of one connection, opened after the change: what is on the way is judged from its first packet.
    private static func delays(_ bed: TrafficBed, _ between: TrafficBed.Between, _ count: Int) throws -> Samples {
        try bed.put(between)
        let client = try succeed(
            try bed.inSender { unsafe cbench_tcp_client(TrafficBed.receiverAddress, TrafficBed.port) })
        defer { close(client) }
        var nanoseconds = [UInt32](repeating: 0, count: count)
        try onCPU(0) {
            // SAFETY: the array has room for `count` answers.
            _ = try succeed(
                unsafe nanoseconds.withUnsafeMutableBufferPointer {
                    unsafe cbench_round_trips(client, 1_000_000_000 / ratePerSecond, UInt32(count), $0.baseAddress)
                })
        }
        return Samples(nanoseconds.map(Double.init))
    }
}
