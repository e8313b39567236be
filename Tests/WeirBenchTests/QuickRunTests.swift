import Foundation
import TestNetwork
import Testing
import WeirBench

@Suite("scripts/bench --quick", .serialized, .enabled(if: kernelTestsAreWanted))
struct QuickRunTests {
    private struct Report: Decodable {
        struct Row: Decodable {
            var name: String
            var value: Double
            var unit: String
        }
        var rows: [Row]
        var isQuick: Bool
    }

    @Test("Every group measures something, and nothing of it is left on the machine")
    func everyGroup() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let command = [try builtExecutable("WeirBench"), "--quick", "--output", "json", "--output-file", file.path]
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardError = FileHandle.nullDevice
        try process.run()
        let tag = "\(process.processIdentifier)"
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)

        let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: file))
        #expect(report.isQuick)
        for group in RowGroup.all {
            #expect(report.rows.contains { $0.name.hasPrefix("\(group.name)/") && $0.value.isFinite }, "\(group.name)")
        }
        let left =
            try FileManager.default.contentsOfDirectory(atPath: "/run/netns")
            + FileManager.default.contentsOfDirectory(atPath: "/sys/fs/bpf")
            + FileManager.default.contentsOfDirectory(atPath: FileManager.default.temporaryDirectory.path)
        #expect(left.filter { $0.contains("-\(tag)-") || $0.hasSuffix("-\(tag)") }.isEmpty)
    }

    @Test("A row that does not exist is a usage error that lists the groups")
    func unknownRow() throws {
        let (status, output) = try attempt([try builtExecutable("WeirBench"), "nonsense"])
        #expect(status == 64)
        #expect(output.contains("compile, size, parse"))
    }
}
