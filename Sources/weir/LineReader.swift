/// Lines of a file or of standard input (`-`), one at a time; memory is bounded by the longest line allowed.
struct LineReader: ~Copyable {
    enum Line {
        /// Without the line feed, and without a carriage return before it.
        case bytes([UInt8])
        /// A line beyond `maximumLength`; its bytes are not kept.
        case tooLong
    }

    /// In bytes.
    static let maximumLength = 1 << 20

    private let stream: Stream
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false

    init(path: String) throws(StreamFailure) { stream = try Stream(reading: path) }

    /// nil at the end. The last line may lack its line feed.
    mutating func next() throws(StreamFailure) -> Line? {
        var searched = position
        var isTooLong = false
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { position = end + 1 }
                return line(position..<end, isTooLong)
            }
            if isAtEnd {
                defer { position = buffer.count }
                return position < buffer.count || isTooLong ? line(position..<buffer.count, isTooLong) : nil
            }
            if isTooLong || buffer.count - position > Self.maximumLength + 1 {
                isTooLong = true
                position = buffer.count
            }
            buffer.removeFirst(position)
            position = 0
            searched = buffer.count
            isAtEnd = try !stream.read(into: &buffer)
        }
    }

    private func line(_ range: Range<Int>, _ isTooLong: Bool) -> Line {
        var bytes = buffer[range]
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return isTooLong || bytes.count > Self.maximumLength ? .tooLong : .bytes(Array(bytes))
    }
}
