import Foundation
import TestNetwork
import Subprocess
import SystemPackage

/// What a run printed and how it ended.
struct Outcome {
    /// nil: a signal ended it.
    var status: Int32?
    var bytes: [UInt8]
    var errors: String

    /// Standard output as text.
    var output: String { String(decoding: bytes, as: UTF8.self) }
    var lines: [String] { Self.lines(output) }
    var errorLines: [String] { Self.lines(errors) }

    /// Standard output as one JSON object.
    var object: [String: Any]? { Self.object(output) }

    static func object(_ text: String) -> [String: Any]? {
        try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).dropLast(
            text.hasSuffix("\n") ? 1 : 0)
    }
}

/// The built executable, run as a user would.
enum Weir {
    static let executable = Result { try builtExecutable() }

    /// Where the package is: relative paths of tests start here, as they do in README.md.
    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    static let shop = ["--policies", "Policies/shop", "--inventory", "Policies/shop"]
    static let shopFlows = package + "/Policies/shop/flows.jsonl"

    /// - Parameters:
    ///   - wrapper: a command that runs it, such as setpriv with its options.
    ///   - environment: variables added; nothing else of ours that starts with `WEIR_` is passed on.
    static func run(
        _ arguments: [String], input: String? = nil, environment: [String: String] = [:],
        in directory: String = package, under wrapper: [String] = []
    ) async throws -> Outcome {
        try await command(
            wrapper + [try executable.get()] + arguments, input: input, environment: environment, in: directory)
    }

    /// Runs a shell script in which `$weir` is the executable.
    static func script(
        _ script: String, environment: [String: String] = [:], in directory: String = package
    ) async throws -> Outcome {
        var environment = environment
        environment["weir"] = try executable.get()
        return try await command(["/bin/bash", "-c", script], environment: environment, in: directory)
    }

    /// Standard input is a file, so that a run that does not read it harms nobody.
    static func command(
        _ words: [String], input: String? = nil, environment: [String: String] = [:], in directory: String = package
    ) async throws -> Outcome {
        var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("WEIR_") }
        // A crash is a failure by its status; minutes of backtraces would not say more.
        variables["SWIFT_BACKTRACE"] = "enable=no"
        variables.merge(environment) { $1 }
        let workspace = try Workspace()
        let file = try workspace.write(input ?? "", to: "input")
        let result = try await Subprocess.run(
            words[0].hasPrefix("/") ? .path(FilePath(words[0])) : .name(words[0]),
            arguments: Arguments(Array(words.dropFirst())),
            environment: .custom(
                Dictionary(
                    variables.compactMap { key, value in Environment.Key(rawValue: key).map { ($0, value) } },
                    uniquingKeysWith: { $1 })),
            workingDirectory: FilePath(directory),
            input: .fileDescriptor(try FileDescriptor.open(FilePath(file), .readOnly), closeAfterSpawningProcess: true),
            output: .bytes(limit: 1 << 28), error: .bytes(limit: 1 << 28))
        var status: Int32?
        if case .exited(let code) = result.terminationStatus { status = Int32(code) }
        return Outcome(
            status: status, bytes: result.standardOutput, errors: String(decoding: result.standardError, as: UTF8.self))
    }
}

/// A temporary directory that goes with its owner.
final class Workspace: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "weir-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Makes the file and the directories that it needs; returns its path.
    @discardableResult
    func write(_ bytes: some Sequence<UInt8>, to name: String) throws -> String {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String { try write(text.utf8, to: name) }

    @discardableResult
    func makeDirectory(_ name: String) throws -> String {
        let directory = "\(path)/\(name)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return directory
    }

    func contents(_ name: String) throws -> String { try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }

    var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() } }
}

extension String {
    func matches(_ pattern: String) -> Bool { range(of: pattern, options: .regularExpression) != nil }
}
