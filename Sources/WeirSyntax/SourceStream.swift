internal import Crypto
package import WeirDiagnostics
internal import Glibc

/// Why an input ended before its end.
package struct InputFailure: Error {
    package let diagnostic: Diagnostic

    init(_ id: DiagnosticID, _ message: String, path: String) {
        diagnostic = Diagnostic(.error, id, message, at: SourceLocation(file: path))
    }

    init(reading path: String, code: Int32) {
        // SAFETY: strerror returns a terminated string, copied at once.
        let reason = unsafe String(cString: strerror(code))
        self.init(.fileUnreadable, "cannot be read: \(reason)", path: path)
    }

    init(tooLarge path: String, maximumBytes: Int) {
        self.init(
            .inputTooLarge, "the inputs up to here are larger than \(maximumBytes) bytes (--max-input-bytes)",
            path: path)
    }
}

/// One input, read in pieces: what is forgotten as it is read may be larger than memory.
package struct SourceStream: ~Copyable {
    package let path: String
    private var origin: Origin
    /// What may still come; with more the input is refused.
    private var remainingBytes: Int
    private let maximumBytes: Int
    private(set) var bytesRead = 0
    /// Of what was read, where somebody wants to know its digest.
    private var hash: SHA256?

    private enum Origin {
        case memory([UInt8], pieceSize: Int, position: Int)
        case descriptor(Int32, isOwned: Bool)
    }

    private static let pieceSize = 1 << 18

    /// Bytes that are in memory already.
    package init(_ source: SourceFile, pieceSize: Int = .max) {
        path = source.path
        origin = .memory(source.bytes, pieceSize: pieceSize, position: 0)
        remainingBytes = source.bytes.count
        maximumBytes = source.bytes.count
    }

    init(
        path: String, descriptor: Int32, isOwned: Bool, remainingBytes: Int, maximumBytes: Int, isDigested: Bool
    ) {
        self.path = path
        hash = isDigested ? SHA256() : nil
        origin = .descriptor(descriptor, isOwned: isOwned)
        self.remainingBytes = remainingBytes
        self.maximumBytes = maximumBytes
    }

    deinit { if case .descriptor(let descriptor, isOwned: true) = origin { close(descriptor) } }

    /// The next bytes, never none; nil at the end.
    package mutating func next() throws(InputFailure) -> [UInt8]? {
        var piece: [UInt8]
        switch origin {
        case .memory(let bytes, let pieceSize, let position):
            let end = position + min(pieceSize, bytes.count - position)
            origin = .memory(bytes, pieceSize: pieceSize, position: end)
            piece = position == 0 && end == bytes.count ? bytes : Array(bytes[position..<end])
        case .descriptor(let descriptor, _):
            piece = try read(descriptor)
        }
        // Pipes and devices have no size that could be refused before.
        guard piece.count <= remainingBytes else {
            throw InputFailure(tooLarge: path, maximumBytes: maximumBytes)
        }
        remainingBytes -= piece.count
        bytesRead += piece.count
        hash?.update(data: piece)
        return piece.isEmpty ? nil : piece
    }

    /// SHA-256 of the whole input, what is left of it included; nil where nobody wants it.
    mutating func digest() throws(InputFailure) -> [UInt8]? {
        guard hash != nil else { return nil }
        while try next() != nil {}
        return hash.map { Array($0.finalize()) }
    }

    private func read(_ descriptor: Int32) throws(InputFailure) -> [UInt8] {
        while true {
            var code: Int32 = 0
            let piece = unsafe [UInt8](unsafeUninitializedCapacity: Self.pieceSize) { buffer, count in
                // SAFETY: read(2) gets the buffer's exact size, and says how much of it it wrote.
                let result = unsafe Glibc.read(descriptor, buffer.baseAddress, Self.pieceSize)
                code = result < 0 ? errno : 0
                count = max(result, 0)
            }
            if code == 0 { return piece }
            guard code == EINTR else { throw InputFailure(reading: path, code: code) }
        }
    }
}
