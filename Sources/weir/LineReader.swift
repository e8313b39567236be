import Foundation

/// Lines of a file or of standard input (`-`), one at a time; memory is bounded by the longest line.
final class LineReader {
    // A class because it owns a file handle and a position in it.
    private let handle: FileHandle
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false

    private static let chunk = 1 << 16

    init(path: String) throws {
        handle = path == "-" ? .standardInput : try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    }

    /// Without the line feed. Bytes that are not UTF-8 become U+FFFD, which no name contains.
    func next() throws -> String? {
        while true {
            if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { position = end + 1 }
                return String(decoding: buffer[position..<end], as: UTF8.self)
            }
            if isAtEnd {
                guard position < buffer.count else { return nil }
                defer { position = buffer.count }
                return String(decoding: buffer[position...], as: UTF8.self)
            }
            buffer.removeFirst(position)
            position = 0
            guard let more = try handle.read(upToCount: Self.chunk), !more.isEmpty else {
                isAtEnd = true
                continue
            }
            buffer += more
        }
    }
}
