import InputTestSupport
import Testing
import WeirDiagnostics
import WeirSyntax

@Suite("documents of a file") struct DocumentTests {
    @Test(
        "every way to write several objects gives the same kinds",
        arguments: [
            "{apiVersion: v1, kind: A}\n---\n{apiVersion: v1, kind: B}\n",
            "---\napiVersion: v1\nkind: A\n---\n---\n# nothing\n---\napiVersion: v1\nkind: B\n...\n",
            "\u{feff}apiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: B\n",
            "apiVersion: v1\r\nkind: A\r\n---\r\napiVersion: v1\r\nkind: B\r\n",
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A\n- {apiVersion: v1, kind: B}\n",
            "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"A\"},\n\t{\"kind\": \"B\", \"apiVersion\": \"v1\"}]}",
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: AList, items: [{}]}\n- apiVersion: v1\n  kind: B\n",
            "apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: A}\n- {<<: *a, kind: B}\n",
        ])
    func kinds(_ text: String) {
        var diagnostics = DiagnosticsCollector()
        let documents = Sample(text).documents(&diagnostics)
        #expect(diagnostics.all.isEmpty)
        #expect(documents.map(\.kind) == ["A", "B"])
        #expect(documents.allSatisfy { $0.apiVersion == "v1" && $0.group.isEmpty && $0.version == "v1" })
    }

    @Test("items of a list take kind and version from it") func itemsOfAKind() {
        let documents = Sample(
            """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicyList
            items:
            - metadata: {name: a}
            - metadata: {name: b}
              kind: CiliumNetworkPolicy
            """
        ).documents()
        #expect(documents.map(\.kind) == ["CiliumNetworkPolicy", "CiliumNetworkPolicy"])
        #expect(documents.map(\.group) == ["cilium.io", "cilium.io"])
    }

    @Test(
        "a list may be empty and a file too",
        arguments: [
            "apiVersion: v1\nkind: List\nitems: []", "apiVersion: v1\nkind: PodList\nitems: null", "", "# a\n",
            "---\n---\n",
        ])
    func empty(_ text: String) {
        var diagnostics = DiagnosticsCollector()
        #expect(Sample(text).documents(&diagnostics).isEmpty)
        #expect(diagnostics.all.isEmpty)
    }

    @Test(
        "what is no object is refused where it stands",
        arguments: [
            (DiagnosticID.notAnObject, "⟦- a"), (.notAnObject, "⟦just text"),
            (.missingField, "⟦kind: A"), (.missingField, "⟦{apiVersion: v1}"),
            (.wrongType, "apiVersion: ⟦1\nkind: A"), (.wrongType, "apiVersion: v1\nkind: ⟦[A]"),
            (.notAnObject, "apiVersion: v1\nkind: List\nitems:\n- ⟦a"),
            (.missingField, "apiVersion: v1\nkind: List\nitems:\n- ⟦kind: A"),
            (.wrongType, "apiVersion: v1\nkind: List\nitems: ⟦{}"),
        ])
    func noObject(_ id: DiagnosticID, _ text: String) {
        let sample = Sample(text)
        var diagnostics = DiagnosticsCollector()
        #expect(sample.documents(&diagnostics).isEmpty)
        #expect(diagnostics.all.map(\.id) == [id])
        #expect(diagnostics.all.map(\.location) == sample.marks)
    }

    @Test("what only YAML 1.1 takes for a line break is a character", arguments: ["\u{85}", "\u{2028}", "\u{2029}"])
    func lineSeparators(_ separator: String) throws {
        let sample = Sample(
            """
            # a remark\(separator) that goes on\(separator)
            apiVersion: v1
            kind: A
            spec: {plain: a\(separator)b, "quoted": "\(separator)c", last: ⟦d}
            """)
        let spec = try #require(sample.documents().first?.root["spec"])
        func text(_ key: String) -> String? {
            if case .scalar(let scalar) = spec[key]?.content { scalar.text } else { nil }
        }
        #expect(text("plain") == "a\(separator)b")
        #expect(text("quoted") == "\(separator)c")
        #expect(spec["last"]?.location(in: sample.source.path) == sample.marks.first)
    }

    @Test("every value knows its line and column") func locations() throws {
        let sample = Sample(
            """
            apiVersion: v1
            kind: A
            spec:
              ⟦list:
              ⟦- ⟦one
              - ⟦two: ⟦"x"
                über: ⟦y
            """)
        let spec = try #require(sample.documents().first?.root["spec"])
        let list = try #require(spec["list"])
        guard case .sequence(let items) = list.content else {
            Issue.record("not a list")
            return
        }
        let second = try #require(items.last)
        let found = [
            spec, list, items.first, second, second["two"], second["über"],
        ].map { $0?.location(in: sample.source.path) }
        #expect(found == sample.marks)
        #expect(second.entry("two")?.keyLocation(in: "sample.yaml") == sample.marks[3])
    }

    @Test("an alias stands where it is used, its parts where they are written") func aliases() throws {
        let sample = Sample("apiVersion: v1\nkind: A\na: &x {k: ⟦v}\nb: ⟦*x\n")
        let root = try #require(sample.documents().first?.root)
        #expect(root["b"]?.location(in: "sample.yaml") == sample.marks[1])
        #expect(root["b"]?["k"]?.location(in: "sample.yaml") == sample.marks[0])
    }

    @Test("a merge key gives what is not written out, the earlier mapping first") func mergeKeys() throws {
        let root = try #require(
            Sample(
                """
                apiVersion: v1
                kind: A
                one: &one {a: 1, b: 1}
                two: &two {b: 2, c: 2}
                both:
                  <<: [*one, *two]
                  a: own
                """
            ).documents().first?.root)
        let texts = ["a", "b", "c"].map { key -> String? in
            guard case .scalar(let scalar) = root["both"]?[key]?.content else { return nil }
            return scalar.text
        }
        #expect(texts == ["own", "1", "2"])
    }
}

@Suite("scalars mean what they mean to kubectl") struct ScalarTests {
    @Test(
        "plain scalars",
        arguments: [
            ("", Scalar.Value.null), ("~", .null), ("null", .null), ("NULL", .null), ("nULL", .string),
            ("true", .boolean(true)), ("True", .boolean(true)), ("yes", .boolean(true)), ("on", .boolean(true)),
            ("y", .string), ("off", .boolean(false)), ("N", .string), ("tRue", .string),
            ("0", .integer(0)), ("-7", .integer(-7)), ("+7", .integer(7)), ("010", .integer(8)), ("08", .number),
            ("0x1F", .integer(31)), ("0o17", .integer(15)), ("0b101", .integer(5)), ("1_000", .integer(1000)),
            ("9223372036854775807", .integer(.max)), ("9223372036854775808", .number), ("--1", .string),
            ("+-1", .string), ("-", .string), ("1.5", .number), (".5", .number), ("1.", .number), ("1e3", .number),
            ("1e", .string), (".inf", .number), ("-.INF", .number), (".nan", .number), (".", .string),
            ("10.0.0.1", .string), ("10.0.0.0/8", .string), ("12:30", .string), ("2001:db8::1", .string),
            ("2026-01-01", .string), ("v1", .string), ("no-op", .string), ("0x", .string),
        ])
    func plain(_ text: String, _ value: Scalar.Value) {
        #expect(Scalar(text, isPlain: true).value == value)
        #expect(Scalar(text, isPlain: false).value == .string)
    }

    @Test("quotes, blocks and tags make strings", arguments: ["'1'", "\"on\"", "!!str 1", "|\n  1", "!!str"])
    func quoted(_ text: String) throws {
        let root = try #require(Sample("apiVersion: v1\nkind: A\na: \(text)\n").documents().first?.root)
        guard case .scalar(let scalar) = root["a"]?.content else {
            Issue.record("not a scalar")
            return
        }
        #expect(scalar.value == .string)
    }
}

@Suite("the nearest name") struct NearestNameTests {
    @Test(
        "is a typing error away, or none",
        arguments: [
            ("fromEndpoint", "fromEndpoints"), ("toEndpoints", "fromEndpoints"), ("fromcidr", "fromCIDR"),
            ("egess", nil), ("x", nil), ("", nil), ("entirelyDifferent", nil),
        ] as [(String, String?)])
    func nearest(_ name: String, _ expected: String?) {
        #expect(nearestName(to: name, among: ["fromEndpoints", "fromCIDR", "fromEntities"]) == expected)
    }
}
