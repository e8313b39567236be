import Foundation
import WeirSyntax

/// Files of a git revision, read without touching the working tree. Needs `git` in PATH.
enum GitTree {
    /// What git said.
    struct Failure: Error {
        var message: String
    }

    /// Whether this names a revision of the repository around the working directory.
    static func isRevision(_ text: String) -> Bool {
        (try? run(["rev-parse", "--quiet", "--verify", "--end-of-options", "\(text)^{commit}"])) != nil
    }

    /// The YAML and JSON files at a path, which may be one of them. Named `REVISION:PATH`.
    ///
    /// - Parameter path: below the working directory. Hidden names are passed over, as are links.
    static func files(revision: String, path: String) throws(Failure) -> [SourceFile] {
        let root = "\(revision):\(path)"
        let object = "\(revision):./\(path)"
        let kind = String(decoding: try run(["cat-file", "-t", object]), as: UTF8.self)
        if kind.hasPrefix("blob") {
            return [SourceFile(path: root, bytes: Array(try run(["cat-file", "blob", object])))]
        }
        var names: [(name: String, id: String)] = []
        for record in try run(["ls-tree", "-r", "-z", object]).split(separator: 0) {
            let text = String(decoding: record, as: UTF8.self)
            guard let tab = text.firstIndex(of: "\t") else { continue }
            let columns = text[..<tab].split(separator: " ")
            let name = String(text[text.index(after: tab)...])
            guard columns.count == 3, columns[1] == "blob", columns[0] != "120000",
                !name.split(separator: "/").contains(where: { $0.hasPrefix(".") }),
                InputReader.suffixes.contains(where: name.hasSuffix)
            else { continue }
            names.append((name, String(columns[2])))
        }
        let contents = try blobs(names.map(\.id))
        return zip(names, contents).map { file, bytes in
            SourceFile(path: path == "." ? "\(revision):\(file.name)" : "\(root)/\(file.name)", bytes: bytes)
        }
        .sorted { $0.path < $1.path }
    }

    /// The contents of objects, in their order: one process for all.
    private static func blobs(_ ids: [String]) throws(Failure) -> [[UInt8]] {
        guard !ids.isEmpty else { return [] }
        let output = Array(try run(["cat-file", "--batch"], input: ids.map { $0 + "\n" }.joined()))
        var position = 0
        var blobs: [[UInt8]] = []
        for id in ids {
            // `ID blob SIZE`, the bytes, a line feed.
            guard let end = output[position...].firstIndex(of: UInt8(ascii: "\n")),
                let size = String(decoding: output[position..<end], as: UTF8.self).split(separator: " ").last.flatMap({
                    Int($0)
                }), end + 1 + size < output.count
            else { throw Failure(message: "git cat-file gave no object \(id)") }
            blobs.append(Array(output[end + 1..<end + 1 + size]))
            position = end + size + 2
        }
        return blobs
    }

    private static func run(_ arguments: [String], input: String = "") throws(Failure) -> Data {
        do {
            // A file, so that neither end of a pipe can wait for the other.
            let request = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString)")
            try Data(input.utf8).write(to: request)
            defer { try? FileManager.default.removeItem(at: request) }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["git"] + arguments
            let output = Pipe()
            let complaint = Pipe()
            process.standardInput = try FileHandle(forReadingFrom: request)
            process.standardOutput = output
            process.standardError = complaint
            try process.run()
            let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
            let message = try complaint.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else {
                let lines = String(decoding: message, as: UTF8.self).split(separator: "\n")
                throw Failure(message: lines.first.map(String.init) ?? "git failed")
            }
            return bytes
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(message: "git cannot be run: \(error.localizedDescription)")
        }
    }
}
