import Foundation
import Testing
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax
import WeirTestSupport

/// The executable on inputs of the fuzzer: what the libraries refuse never becomes an image.
@Suite("Fuzzing weir compile")
struct CommandFuzzTests {
    /// It lies beside the bundle of these tests, which is the running process or named in its arguments.
    private static var executable: String? {
        let places = [try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")].compactMap { $0 }
        return (places + CommandLine.arguments.filter { $0.contains(".xctest") })
            .map { URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("weir").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    @Test("An input with an error ends with status 1 and no image; one without has an image", arguments: 0..<40)
    func compile(round: Int) throws {
        let weir = try #require(Self.executable, "build the package first")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-fuzz-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let input = folder.appendingPathComponent("input.yaml")
        let bytes = FuzzInput.make(seed: 1, round: round)
        try Data(bytes).write(to: input)

        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(SourceFile(path: input.path, bytes: bytes), diagnostics: &diagnostics)
        _ = decodePolicies(documents, diagnostics: &diagnostics)
        let inventory = decodeInventory(documents, diagnostics: &diagnostics)
        // Where nothing names a node, any may be asked for, and has an empty image.
        let node = inventory.nodes.first?.name ?? inventory.endpoints.first?.node ?? "none"

        let image = folder.appendingPathComponent("image")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: weir)
        process.arguments = [
            "compile", "--policies", input.path, "--inventory", input.path, "--node", node, "--output", "bundle",
            "--output-file", image.path,
        ]
        process.environment = ["SWIFT_BACKTRACE": "enable=no"]
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()

        let isRefused = diagnostics.hasErrors
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == (isRefused ? 1 : 0))
        #expect(FileManager.default.fileExists(atPath: image.path) == !isRefused)
    }
}
