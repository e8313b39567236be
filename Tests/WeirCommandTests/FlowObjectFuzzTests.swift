import Foundation
import Testing
import WeirFlow
import WeirTestSupport

@Suite("Reading a line of a flow list")
struct FlowObjectFuzzTests {
    static let seeds: [String] = [
        #"{"from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080}"#,
        #" { "a" : [ 1 , -2.50e+3 , { } , [ ] , null , true , false ] , "é\u00e9\ud83d\ude00" : "\"\\\/\b\f\n\r\t" } "#,
        #"{"from":"ip:10.0.0.1","port":0,"x":{"y":{"z":[[[]]]}},"egress":"allow","port":1E2}"#,
        "{}", "[]", "{\"\":\"\"}", "\"x\"", "12",
    ]

    /// Pieces that JSON is made of, and pieces that break it.
    static let pieces: [[UInt8]] =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "\\udc00", "0", "1", "-", "+", ".", "e", "true",
            "null",
            " ", "\t", "\u{b}", "é", "😀", "\"from\":", "\"port\":1,",
        ].map { Array($0.utf8) } + [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0x7f], [0x01]]

    /// Whether Foundation takes it for an object.
    private func isObject(_ line: [UInt8]) -> Bool {
        guard String(validating: line, as: UTF8.self) != nil else { return false }
        return (try? JSONSerialization.jsonObject(with: Data(line))) is [String: Any]
    }

    @Test("Takes exactly what is a JSON object, and never traps", arguments: 0..<8)
    func sameAsFoundation(_ seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed) + 0x5eed)
        for _ in 0..<20_000 {
            var line = Array(try #require(Self.seeds.randomElement(using: &generator)).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0...line.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: line.insert(contentsOf: try #require(Self.pieces.randomElement(using: &generator)), at: place)
                case 1: line.removeSubrange(place..<min(line.count, place + Int.random(in: 1...4, using: &generator)))
                default: if place < line.count { line[place] = UInt8.random(in: 1...255, using: &generator) }
                }
            }
            let object = try? FlowObject(line: line)
            let text = String(decoding: line, as: UTF8.self)
            // Foundation passes over a comma before a closing bracket; JSON has none there.
            let isLenient = object == nil && text.matches(#",[ \t\r\n]*[}\]]"#)
            #expect((object != nil) == isObject(line) || isLenient, "\(text)")
            guard let object else { continue }
            // What an answer adds goes before the closing brace.
            let answer =
                line[..<object.closingBrace] + Array((object.isEmpty ? "" : ",").utf8) + Array("\"added\":1}".utf8)
            let read = try JSONSerialization.jsonObject(with: Data(answer)) as? [String: Any]
            #expect(read?["added"] as? Int == 1, "\(text)")
        }
    }

    @Test("Nesting up to 128 levels is read, deeper is refused")
    func depth() throws {
        for (levels, isTaken) in [(127, true), (128, true), (129, false)] {
            let line = "{\"a\":" + String(repeating: "[", count: levels) + String(repeating: "]", count: levels) + "}"
            #expect(((try? FlowObject(line: Array(line.utf8))) != nil) == isTaken, "\(levels)")
        }
    }
}
