import Foundation
import Testing
import WeirCNI
import WeirJSON
import WeirModel
import WeirTestSupport

/// Whatever comes in, a runtime gets an answer that it can read.
@Suite("Damaged input")
struct FuzzTests {
    private static let operations = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "", "add"]
    private static let configurations = [
        Bench.configuration("0.4.0", previous: Bench.result040),
        Bench.configuration(
            "1.0.0",
            #""args":{"cni":{"labels":[{"key":"a","value":"b"}]}},"timeout":1,"inventory":["/x"],"capabilities":{"ips":true}"#,
            previous: Bench.result100),
        Bench.configuration(
            "1.1.0",
            #""runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"weir.dev/labels":"{\"a\":\"\\u0062\"}"}}"#,
            previous: Bench.result110),
        Bench.configuration("1.1.0", #""cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}]"#),
    ]
    private static let pieces = [
        "null", "{}", "[]", "\"\"", "-1", "1e400", "0", "true", "\"\\ud800\"", "\"\\u0000\"", "{", "}", "[", "]", ",",
        ":",
        "18446744073709551616", "\"name\"", "\u{0}", String(repeating: "[", count: 200), "\"/\"", "\"é\"",
    ]
    private static let values = [
        "", "=", ";", ";;=", "a=b;c", "IgnoreUnknown=1", "IgnoreUnknown=1;K8S_POD_NAME=a", "/", "..", "é", "a\u{0}b",
        "c1",
        "eth0", "/run/netns/c1", String(repeating: "x", count: 300), " ", "-", "%s",
    ]

    private func damaged(_ text: String, _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(text.utf8)
        for _ in 0..<random.below(4) {
            guard !bytes.isEmpty else { break }
            let place = random.below(bytes.count)
            switch random.below(6) {
            case 0: bytes[place] = UInt8(random.below(256))
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(UInt8(random.below(256)), at: place)
            case 3: bytes.removeSubrange(place...)
            case 4: bytes.insert(contentsOf: Self.pieces[random.below(Self.pieces.count)].utf8, at: place)
            default:
                let end = place + random.below(bytes.count - place)
                bytes.replaceSubrange(place..<end, with: Self.pieces[random.below(Self.pieces.count)].utf8)
            }
        }
        return bytes
    }

    @Test(
        "Every run ends with an answer: nothing, or one JSON object, an error if and only if the status says so",
        arguments: 0..<64)
    func answers(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for round in 0..<200 {
            var environment = Bench.place.merging(Bench.pod) { $1 }
            environment["CNI_COMMAND"] = Self.operations[random.below(Self.operations.count)]
            for _ in 0..<random.below(3) {
                let name = environment.keys.sorted()[random.below(environment.count)]
                environment[name] = random.below(4) == 0 ? nil : Self.values[random.below(Self.values.count)]
            }
            let input = damaged(Self.configurations[random.below(Self.configurations.count)], &random)
            let bench = Bench()
            let answer = bench.plugin.answer(environment: environment) { input }
            let context: Comment = "seed \(seed) round \(round)"
            #expect(answer.status == (answer.code == nil ? 0 : 1), context)
            if let output = answer.output {
                // Foundation is the judge of what is JSON.
                let object = try JSONSerialization.jsonObject(with: Data("\(output)".utf8)) as? [String: Any]
                #expect(object?["cniVersion"] is String, context)
                if answer.status != 0 {
                    let code = try #require(object?["code"] as? Int, context)
                    #expect(CNIError.Code(rawValue: code) != nil, context)
                    #expect((object?["msg"] as? String)?.isEmpty == false, context)
                }
            }
            if answer.status != 0, environment["CNI_COMMAND"] == "ADD" {
                #expect(bench.registry.known.isEmpty, context)
            }
        }
    }

    @Test("What is read is written as it was, and what Foundation refuses is refused", arguments: 0..<64)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for round in 0..<200 {
            let bytes = damaged(Self.configurations[random.below(Self.configurations.count)], &random)
            guard let value = try? JSONValue(parsing: bytes) else { continue }
            let context: Comment = "seed \(seed) round \(round)"
            #expect(try JSONValue(parsing: Array("\(value)".utf8)) == value, context)
            #expect(
                (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
                    || "\(value)".contains("e400") || "\(value)".contains("18446744073709551616"), context)
        }
    }

    @Test(
        "What is not JSON is refused with its place",
        arguments: [
            ("", "unexpected end at byte 1"), ("{\"a\":1,}", "unexpected character at byte 8"),
            ("{\"a\":1,\"a\":2}", "a second member 'a' at byte 8"), ("[01]", "unexpected character at byte 3"),
            ("\"\\x\"", "no such escape sequence at byte 2"), ("\"\\ud800\"", "no such escape sequence at byte 2"),
            ("{} {}", "unexpected character at byte 4"), ("\"\n\"", "unexpected character at byte 2"),
            (String(repeating: "[", count: 129), "nested deeper than 128 levels at byte 129"),
            ("nul", "unexpected character at byte 1"),
        ])
    func refused(_ text: String, _ reason: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
        do { _ = try JSONValue(parsing: Array(text.utf8)) } catch { #expect("\(error)" == reason) }
    }

    @Test("Text is written so that everybody reads the same")
    func text() throws {
        let text = "{\"a\":\"\\u0000\\u001f\\n\\t\\\"\\\\/\\ud83d\\ude00é\",\"n\":[-0,1.0,2E+3],\"z\":null,\"b\":false}"
        let written = "\(try JSONValue(parsing: Array(text.utf8)))"
        #expect(written == "{\"a\":\"\\u0000\\u001f\\n\\t\\\"\\\\/😀é\",\"n\":[-0,1.0,2E+3],\"z\":null,\"b\":false}")
    }
}
