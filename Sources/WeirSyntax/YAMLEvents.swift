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
struct YAMLSyntaxError: Error {
    var message: String
    var position: LocatedNode.Position
    /// libyaml's look-ahead met its own nesting limit before we met ours.
    var isTooDeep = false
    /// What libyaml was in the middle of, such as `while parsing a block mapping`.
    var context: String?
    var contextPosition: LocatedNode.Position?
}

/// Runs `body` with a function that returns the next event and its place. `bytes` must be UTF-8 without a BOM.
///
/// libyaml keeps no more than its own look-ahead (about 1,024 characters) and its nesting state,
/// and neither recurses: input of any depth is safe as long as `body` is.
func withYAMLEvents<Result>(
    of bytes: ArraySlice<UInt8>,
    _ body: (_ next: () throws(YAMLSyntaxError) -> (YAMLEvent, LocatedNode.Position)) -> Result
) -> Result {
    // SAFETY: the buffer outlives the parser, which is deleted before this closure returns.
    unsafe bytes.withUnsafeBufferPointer { buffer in
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else { fatalError("libyaml is out of memory") }
        defer {
            unsafe yaml_parser_delete(parser)
            unsafe parser.deallocate()
        }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
        return body { () throws(YAMLSyntaxError) in try unsafe nextEvent(parser, buffer) }
    }
}

private func nextEvent(
    _ parser: UnsafeMutablePointer<yaml_parser_t>, _ input: UnsafeBufferPointer<UInt8>
) throws(YAMLSyntaxError) -> (YAMLEvent, LocatedNode.Position) {
    while true {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw unsafe syntaxError(parser, input) }
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
            let text = unsafe String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
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
    _ parser: UnsafeMutablePointer<yaml_parser_t>, _ input: UnsafeBufferPointer<UInt8>
) -> YAMLSyntaxError {
    // SAFETY: libyaml's messages are static strings, or null.
    let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "not YAML"
    if unsafe parser.pointee.error == YAML_READER_ERROR {
        let offset = unsafe min(Int(parser.pointee.problem_offset), input.count)
        let place = unsafe position(ofByte: offset, in: Array(input))
        return YAMLSyntaxError(message: problem, position: place)
    }
    let mark = unsafe parser.pointee.problem_mark
    let offset = Int(mark.index)
    var message = problem
    let isTooDeep = problem.hasPrefix("Maximum nesting level reached")
    if isTooDeep { message = "nested deeper than a thousand levels" }
    if problem == "found character that cannot start any token", unsafe tabStands(at: offset, in: input) {
        message = "a tab cannot indent YAML; use spaces"
    }
    var error = YAMLSyntaxError(message: message, position: position(mark), isTooDeep: isTooDeep)
    if let context = unsafe parser.pointee.context {
        error.context = unsafe String(cString: context)
        error.contextPosition = unsafe position(parser.pointee.context_mark)
    }
    return error
}

/// Whether the character with this index (libyaml counts characters, not bytes) is a tab.
private func tabStands(at index: Int, in input: UnsafeBufferPointer<UInt8>) -> Bool {
    let text = unsafe String(decoding: input, as: UTF8.self).unicodeScalars
    guard let place = text.index(text.startIndex, offsetBy: index, limitedBy: text.endIndex), place < text.endIndex
    else { return false }
    return text[place] == "\t"
}

/// The line and column of a byte; everything before it must be UTF-8.
func position(ofByte offset: Int, in bytes: [UInt8]) -> LocatedNode.Position {
    var line: UInt32 = 1
    var column: UInt32 = 1
    for byte in bytes.prefix(offset) {
        if byte == UInt8(ascii: "\n") {
            line &+= 1
            column = 1
        } else if byte & 0xc0 != 0x80 {
            column &+= 1
        }
    }
    return LocatedNode.Position(line: line, column: column)
}
