import Foundation

/// Runs this executable again: a measurement of memory wants a process of its own.
enum Child {
    struct Failed: Error, CustomStringConvertible {
        var description: String
    }

    static func run<Answer: Decodable>(_ arguments: [String], answering: Answer.Type) throws -> Answer {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw Failed(description: "\(arguments.joined(separator: " ")) ended with \(process.terminationStatus)")
        }
        return try JSONDecoder().decode(Answer.self, from: output)
    }
}
