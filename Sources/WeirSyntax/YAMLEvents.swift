// libyaml as Yams ships it, event by event. Yams' own `compose` recurses, hashes every key with its
// subtree (an alias bomb as a key never ends), stops at the first duplicate key without its
// place, and is several times slower on an inventory of 10,000 pods.
internal import CYaml
internal import WeirDiagnostics

/// What libyaml read next. Scalars are copied; nothing points into the parser.
enum YAMLEvent {
    case documentStart
    case documentEnd
    case streamEnd
    case alias(anchor: String)
    case scalar(Scalar, anchor: String?, tag: String?)
    case sequenceStart(anchor: String?)
    case mappingStart(anchor: String?)
    case collectionEnd
}

/// Where and why the text is no YAML.
struct YAMLSyntaxError {
    /// `syntax`, `invalid-utf8`, or `nesting-too-deep` where libyaml's look-ahead met its own limit before we met ours.
    var id: DiagnosticID = .syntax
    var message: String
    var position: LocatedNode.Position
    /// What libyaml was in the middle of, such as `while parsing a block mapping`.
    var context: String?
    var contextPosition: LocatedNode.Position?
}

/// Why there is no next event.
enum YAMLFailure: Error {
    case syntax(YAMLSyntaxError)
    case input(InputFailure)
}

/// Runs `body` with a function that returns the next event and its place.
///
/// `nextPiece` gives the bytes of the text, which must be UTF-8, in pieces of any size: the events and the errors are
/// those of the whole. libyaml keeps no more than a block of 16 KiB, its own look-ahead (about 1,024 characters) and
/// its nesting state, and does not recurse: input of any size and depth is safe as long as `body` is.
func withYAMLEvents<Result>(
    reading nextPiece: () throws(InputFailure) -> [UInt8]?,
    _ body: (_ next: () throws(YAMLFailure) -> (YAMLEvent, LocatedNode.Position)) -> Result
) -> Result {
    withoutActuallyEscaping(nextPiece) { nextPiece in
        let feed = YAMLFeed(nextPiece)
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else { fatalError("libyaml is out of memory") }
        // SAFETY: the feed outlives the parser, which is deleted before this closure returns.
        defer {
            unsafe yaml_parser_delete(parser)
            unsafe parser.deallocate()
            withExtendedLifetime(feed) {}
        }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input(
            parser,
            { data, buffer, size, count in
                // SAFETY: data is the feed below, and libyaml gives a buffer of this size.
                guard let data = unsafe data, let buffer = unsafe buffer, let count = unsafe count else { return 0 }
                let feed = unsafe Unmanaged<YAMLFeed>.fromOpaque(data).takeUnretainedValue()
                unsafe count.pointee = unsafe feed.fill(UnsafeMutableBufferPointer(start: buffer, count: size))
                return feed.failure == nil ? 1 : 0
            }, Unmanaged.passUnretained(feed).toOpaque())
        return body { () throws(YAMLFailure) in try unsafe nextEvent(parser, feed) }
        // As in NetworkNamespace: else the executable would depend on the folder that it was built in.
        #sourceLocation(file:"YAMLEvents",line:68)
    }
    #sourceLocation()
}

/// Turns pieces into the blocks that libyaml asks for. A class, as libyaml holds a pointer to it.
private final class YAMLFeed {
    private let nextPiece: () throws(InputFailure) -> [UInt8]?
    private var piece: ArraySlice<UInt8> = []
    private var isAtEnd = false
    private(set) var separators = LineSeparators()
    private(set) var failure: InputFailure?
    /// Bytes of a byte order mark, which libyaml never sees.
    private(set) var skippedBytes = 0
    private var isAtStart = true

    init(_ nextPiece: @escaping () throws(InputFailure) -> [UInt8]?) { self.nextPiece = nextPiece }

    /// Fills all of the block unless the input ends: where libyaml notices an error must not depend on the pieces.
    func fill(_ block: UnsafeMutableBufferPointer<UInt8>) -> Int {
        if isAtStart { skipByteOrderMark() }
        var filled = 0
        while filled < block.count, advance() {
            let part = piece.prefix(block.count - filled)
            // SAFETY: the part is no longer than what is left of the block.
            filled = unsafe block[filled...].update(fromContentsOf: part)
            piece = piece.dropFirst(part.count)
        }
        return filled
    }

    /// Whether there is a byte.
    private func advance() -> Bool {
        while piece.isEmpty, !isAtEnd {
            do throws(InputFailure) {
                if let next = try nextPiece() {
                    piece = separators.hide(in: next)[...]
                } else {
                    piece = separators.rest()[...]
                    isAtEnd = true
                }
            } catch {
                failure = error
                isAtEnd = true
            }
        }
        return !piece.isEmpty
    }

    private func skipByteOrderMark() {
        isAtStart = false
        var start: [UInt8] = []
        while start.count < 3, advance() { start.append(piece.removeFirst()) }
        if start == [0xef, 0xbb, 0xbf] { skippedBytes = 3 } else { piece = (start + piece)[...] }
    }
}

private func nextEvent(
    _ parser: UnsafeMutablePointer<yaml_parser_t>, _ feed: YAMLFeed
) throws(YAMLFailure) -> (YAMLEvent, LocatedNode.Position) {
    while true {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else {
            if let failure = feed.failure { throw .input(failure) }
            throw .syntax(unsafe syntaxError(parser, skippedBytes: feed.skippedBytes))
        }
        // SAFETY: libyaml filled the event; each union member is read under its own type only.
        defer { unsafe yaml_event_delete(&event) }
        let position = unsafe position(event.start_mark)
        switch unsafe event.type {
        case YAML_DOCUMENT_START_EVENT: return (.documentStart, position)
        case YAML_DOCUMENT_END_EVENT: return (.documentEnd, position)
        case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return (.streamEnd, position)
        case YAML_ALIAS_EVENT:
            return (.alias(anchor: unsafe string(event.data.alias.anchor) ?? ""), position)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let text = feed.separators.restore(
                in: unsafe String(
                    decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self))
            let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            let isUntagged = unsafe scalar.plain_implicit != 0 || scalar.quoted_implicit != 0
            return (
                .scalar(
                    Scalar(text, isPlain: isPlain), anchor: unsafe string(scalar.anchor),
                    tag: isUntagged ? nil : unsafe string(scalar.tag)),
                position
            )
        case YAML_SEQUENCE_START_EVENT:
            return (.sequenceStart(anchor: unsafe string(event.data.sequence_start.anchor)), position)
        case YAML_MAPPING_START_EVENT:
            return (.mappingStart(anchor: unsafe string(event.data.mapping_start.anchor)), position)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return (.collectionEnd, position)
        default: continue
        }
    }
}

private func string(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    // SAFETY: libyaml's anchors and tags are zero-terminated.
    guard let bytes = unsafe bytes else { return nil }
    return unsafe String(cString: bytes)
}

private func position(_ mark: yaml_mark_t) -> LocatedNode.Position {
    LocatedNode.Position(
        line: UInt32(clamping: mark.line) &+ 1, column: UInt32(clamping: mark.column) &+ 1)
}

private func syntaxError(
    _ parser: UnsafeMutablePointer<yaml_parser_t>, skippedBytes: Int
) -> YAMLSyntaxError {
    // SAFETY: libyaml's messages are static strings, or null.
    let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "not YAML"
    if unsafe parser.pointee.error == YAML_READER_ERROR {
        return unsafe readerError(parser, problem, skippedBytes: skippedBytes)
    }
    var error = YAMLSyntaxError(message: problem, position: unsafe position(parser.pointee.problem_mark))
    if problem.hasPrefix("Maximum nesting level reached") {
        error.id = .nestingTooDeep
        error.message = "nested deeper than a thousand levels"
    }
    // SAFETY: the scanner stands at the character, which is in its buffer.
    if problem == "found character that cannot start any token",
        unsafe parser.pointee.buffer.pointer.pointee == UInt8(ascii: "\t")
    {
        error.message = "a tab cannot indent YAML; use spaces"
    }
    if let context = unsafe parser.pointee.context {
        error.context = unsafe String(cString: context)
        error.contextPosition = unsafe position(parser.pointee.context_mark)
    }
    return error
}

/// A character that is none, or is not allowed in YAML. It stands behind what libyaml has decoded and not read yet.
private func readerError(
    _ parser: UnsafeMutablePointer<yaml_parser_t>, _ problem: String, skippedBytes: Int
) -> YAMLSyntaxError {
    // SAFETY: pointer and last bound the characters that were decoded; a raw buffer with an error in it is not empty.
    let buffer = unsafe parser.pointee.buffer
    let decoded = unsafe UnsafeBufferPointer(start: buffer.pointer, count: buffer.last - buffer.pointer)
    let place = unsafe position(behind: decoded, from: position(parser.pointee.mark))
    let raw = unsafe parser.pointee.raw_buffer
    guard problem.contains("UTF-8") || problem == "invalid Unicode character", unsafe raw.pointer < raw.last else {
        return YAMLSyntaxError(message: problem, position: place)
    }
    let offset = unsafe Int(parser.pointee.offset) + skippedBytes
    let byte = unsafe String(raw.pointer.pointee, radix: 16)
    return YAMLSyntaxError(id: .invalidUTF8, message: "byte \(offset) (0x\(byte)) is not UTF-8", position: place)
}

/// The line and column behind characters that begin at a place.
private func position(
    behind characters: UnsafeBufferPointer<UInt8>, from start: LocatedNode.Position
) -> LocatedNode.Position {
    var line = start.line
    var column = start.column
    var isAfterReturn = false
    for byte in unsafe Array(characters) {
        let isReturn = byte == UInt8(ascii: "\r")
        if byte == UInt8(ascii: "\n") || isReturn {
            if isReturn || !isAfterReturn { line &+= 1 }
            column = 1
        } else if byte & 0xc0 != 0x80 {
            column &+= 1
        }
        isAfterReturn = isReturn
    }
    return LocatedNode.Position(line: line, column: column)
}
