import ArgumentParser
import CBench
import Foundation
import WeirCompiler
import WeirImage

/// Typed policies and inventory to an image: no parsing, no file.
enum CompileRows {
    private static let name = "compile"
    static let group = RowGroup(
        name: name, about: "typed policies and inventory to an image: seconds, and peak memory of the whole process",
        needsRoot: false,
        rows: rows)

    private struct Case {
        var pods: Int
        var policies: Int
        var bound: Double?
        var memoryBound: Double?
        var peers: String
    }

    private static let cases = [
        Case(pods: 1_000, policies: 100, peers: "Cilium's engine 0.040 s"),
        Case(pods: 1_000, policies: 1_000, peers: "Cilium's engine 0.24 s"),
        Case(pods: 10_000, policies: 100, peers: "Cilium's engine 0.36 s"),
        Case(pods: 10_000, policies: 1_000, bound: 0.25, peers: "Cilium's engine 2.0 s"),
        Case(pods: 50_000, policies: 100, peers: "Cilium's engine 2.1 s"),
        Case(
            pods: 50_000, policies: 1_000, bound: 1, memoryBound: 300, peers: "Cilium's engine 13.4 s, heap 1,401 MB"),
    ]

    private static func rows(_ run: Run) throws -> [Row] {
        var rows: [Row] = []
        for each in run.isQuick ? Array(cases.prefix(1)) : cases {
            let time = "\(name)/\(each.pods)x\(each.policies)"
            let memory = "\(name)/\(each.pods)x\(each.policies)-memory"
            guard run.wants(time) || run.wants(memory) else { continue }
            let answer = try Child.run(
                ["compile-once", "\(each.pods)", "\(each.policies)", "\(run.choose(7, quick: 1))"],
                answering: CompileOnce.Answer.self)
            rows.append(
                Row(
                    time, Samples(answer.seconds), .seconds, goal: each.bound.map { .below($0) }, peers: each.peers,
                    note: "100 local pods; image \(answer.digest.prefix(12))"))
            if each.memoryBound != nil || run.isQuick {
                rows.append(
                    Row(
                        memory, Samples(Double(answer.peakBytes) / 1_048_576), .mebibytes,
                        goal: each.memoryBound.map { .atMost($0) }, peers: each.peers,
                        note:
                            "peak resident; \(short(Double(answer.inputBytes) / 1_048_576)) of it before, for the inputs"
                    ))
            }
        }
        return rows
    }
}

/// Compiles one workload and says how long it took: in a process of its own, because peak memory is a process's.
struct CompileOnce: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compile-once", abstract: "Compile one workload.", shouldDisplay: false)

    @Argument var pods: Int
    @Argument var policies: Int
    @Argument var repetitions: Int

    struct Answer: Codable {
        var seconds: [Double]
        /// Resident before the first compilation.
        var inputBytes: Int
        var peakBytes: Int
        var digest: String
    }

    func run() throws {
        let typed = try Workload(pods: pods, policies: policies).typed()
        // What parsing left is not the compiler's.
        cbench_trim()
        let inputBytes = try Self.status("VmRSS")
        try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
        var image = Compiler.compile(policies: typed.policies, inventory: typed.inventory, node: Workload.node)
        let peakBytes = try Self.status("VmHWM")
        let seconds = (0..<repetitions).map { _ in
            WeirBench.seconds {
                image = Compiler.compile(policies: typed.policies, inventory: typed.inventory, node: Workload.node)
            }
        }
        let answer = Answer(
            seconds: seconds, inputBytes: inputBytes, peakBytes: peakBytes, digest: image.digest.hexadecimal)
        print(String(decoding: try JSONEncoder().encode(answer), as: UTF8.self))
    }

    /// A line of /proc/self/status, in bytes.
    private static func status(_ field: String) throws -> Int {
        let lines = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
        let words = lines.first { $0.hasPrefix(field + ":") }?.split(whereSeparator: \.isWhitespace) ?? []
        guard words.count == 3, let kibibytes = Int(words[1]) else {
            throw Child.Failed(description: "/proc/self/status has no \(field)")
        }
        return kibibytes * 1024
    }
}
