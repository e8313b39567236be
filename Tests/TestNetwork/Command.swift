internal import Foundation

/// A command of the machine failed.
package struct CommandFailure: Error, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

/// Runs a command and returns its output; throws where it fails.
@discardableResult
package func run(_ words: String...) throws -> String {
    let (status, output) = try attempt(words)
    guard status == 0 else {
        throw CommandFailure(description: "\(words.joined(separator: " ")): \(status): \(output)")
    }
    return output
}

/// Runs a command and says how it ended, with everything it printed.
package func attempt(_ words: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

/// Starts a command that ends with the test.
package final class BackgroundCommand {
    private let process = Process()

    package init(_ words: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit { stop() }

    package var processID: Int32 { process.processIdentifier }

    package func stop() {
        guard process.isRunning else { return }
        // Not SIGTERM: the test runner blocks it, and its children inherit that.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

/// An executable that is built beside the bundle of the tests, which is the running process or is named in its arguments.
package func builtExecutable(_ name: String = "weir") throws -> String {
    var neighbours = CommandLine.arguments.filter { $0.contains(".xctest") }
    if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") { neighbours.append(own) }
    let places = neighbours.map { URL(fileURLWithPath: $0).deletingLastPathComponent().appending(path: name).path }
    guard let found = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
        throw CommandFailure(description: "build the package first: nothing at \(places.joined(separator: ", "))")
    }
    return found
}

/// Whether kernel tests can run here. Where they must (`WEIR_REQUIRE_KERNEL=1`), they run and fail.
package var kernelTestsAreWanted: Bool {
    ProcessInfo.processInfo.environment["WEIR_REQUIRE_KERNEL"] == "1"
        || getuid() == 0 && FileManager.default.fileExists(atPath: "/sys/fs/bpf")
            && (try? attempt(["ip", "-V"]).status) == 0
}

/// Mounts the bpf file system where nobody has.
package func mountBPFFileSystem() throws {
    guard try attempt(["mountpoint", "-q", "/sys/fs/bpf"]).status != 0 else { return }
    try run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
}
