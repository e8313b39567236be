extension JSONValue {
    /// Reads a whole text.
    package init(parsing bytes: [UInt8]) throws(JSONError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw JSONError(reason: "not UTF-8", offset: 0)
        }
        var scanner = JSONScanner(bytes)
        self = try scanner.value(depth: 1)
        guard scanner.peek() == nil else { throw scanner.unexpected() }
    }
}

extension JSONScanner {
    fileprivate mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        try requireDepth(depth)
        switch peek() {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["):
            var values: [JSONValue] = []
            try array { scanner throws(JSONError) in values.append(try scanner.value(depth: depth + 1)) }
            return .array(values)
        case UInt8(ascii: "\""): return .string(try string(try text()))
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return .number(String(try number()))
        }
    }

    private mutating func members(depth: Int) throws(JSONError) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        _ = try object { scanner, text throws(JSONError) in
            let name = try scanner.string(text)
            guard names.insert(name).inserted else {
                throw JSONError(reason: "a second member '\(name)'", offset: text.start)
            }
            members.append(JSONValue.Member(name, try scanner.value(depth: depth + 1)))
        }
        return members
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        try self.word(word)
        return value
    }
}
