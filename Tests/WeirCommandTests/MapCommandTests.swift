import Testing

@Suite("map, endpoint, identity and rule, without a node")
struct MapCommandTests {
    @Test("map list has every map of an image, with estimated memory")
    func list() async throws {
        let outcome = try await Weir.run(["map", "list"] + Weir.shop)
        #expect(outcome.status == 0)
        #expect(
            outcome.output == """
                MAP        SCOPE  TYPE      KEY  VALUE  ENTRIES  CAPACITY  FILL   MEMORY  ID
                cidrs4     slot   lpm_trie  8    12     3        67        4.5%   ~528    -
                cidrs6     slot   lpm_trie  20   12     2        66        3.0%   ~400    -
                endpoints  slot   hash      4    36     4        69        5.8%   ~2480   -
                ipcache4   slot   hash      4    12     5        70        7.1%   ~2468   -
                ipcache6   slot   hash      16   12     5        70        7.1%   ~2528   -
                peers      slot   array     4    256    2        2         -      ~512    -
                verdicts   slot   lpm_trie  12   4      12       79        15.2%  ~2016   -

                """)
        let json = try await Weir.run(["map", "list", "--output", "json"] + Weir.shop)
        let maps = try #require(json.object?["maps"] as? [[String: Any]])
        #expect(maps.count == 7)
        #expect(maps[0]["name"] as? String == "cidrs4")
        #expect(maps[0]["entries"] as? Int == 3)
        #expect(maps[0]["isMemoryEstimated"] as? Bool == true)
        #expect(maps[0]["id"] == nil)
    }

    @Test("A bundle and its sources are the same to look into")
    func bundle() async throws {
        let workspace = try Workspace()
        let path = workspace.path + "/node-a.weir"
        let compiled = try await Weir.run(
            ["compile"] + Weir.shop + ["--output", "bundle", "--output-file", path])
        try #require(compiled.status == 0)
        for command in [["map", "list"], ["map", "dump", "peers"], ["endpoint", "list"], ["identity", "list"]] {
            let sources = try await Weir.run(command + Weir.shop)
            let bundle = try await Weir.run(command + ["--bundle", path])
            #expect(bundle.status == 0)
            #expect(!bundle.output.isEmpty)
            #expect(bundle.output == sources.output)
        }
    }

    @Test("map dump decodes prefixes, as a table, as JSON and as bytes")
    func prefixes() async throws {
        let dump = ["map", "dump", "cidrs4"] + Weir.shop
        #expect(
            try await Weir.run(dump).output == """
                PREFIX            GROUP  IDENTITY  LABELS                              FLAGS
                0.0.0.0/0         5      4         reserved:world,reserved:world-ipv4  -
                10.7.0.0/24       3      2         unknown-pod                         -
                198.51.100.66/32  11     11        cidr:198.51.100.66/32               -

                """)
        #expect(
            try await Weir.run(dump + ["--output", "json"]).output == """
                [
                {"prefix":"0.0.0.0/0","group":5,"identity":4,"labels":"reserved:world,reserved:world-ipv4","flags":[]},
                {"prefix":"10.7.0.0/24","group":3,"identity":2,"labels":"unknown-pod","flags":[]},
                {"prefix":"198.51.100.66/32","group":11,"identity":11,"labels":"cidr:198.51.100.66/32","flags":[]}
                ]

                """)
        #expect(
            try await Weir.run(dump + ["--raw", "--output", "jsonl", "--address", "198.51.100.66"]).output == """
                {"key":"0000000000000000","value":"050000000400000000000000"}
                {"key":"20000000c6336442","value":"0b0000000b00000000000000"}

                """)
    }

    @Test("map dump decodes verdicts down to the line")
    func verdicts() async throws {
        let outcome = try await Weir.run(["map", "dump", "verdicts", "--rule", "frontend.yaml:18"] + Weir.shop)
        #expect(
            outcome.output == """
                TABLE  PROTOCOL  PORTS  DECISION  RULES
                3      ICMP      8      allow     Policies/shop/frontend.yaml:18
                3      ICMPv6    128    allow     Policies/shop/frontend.yaml:18

                """)
    }

    @Test("Nothing found is an empty table, [] or no line")
    func nothing() async throws {
        let dump = ["map", "dump", "ipcache4", "--group", "99"] + Weir.shop
        #expect(try await Weir.run(dump).output == "ADDRESS  ENDPOINT  GROUP  IDENTITY  LABELS  FLAGS\n")
        #expect(try await Weir.run(dump + ["--output", "json"]).output == "[]\n")
        let lines = try await Weir.run(dump + ["--output", "jsonl"])
        #expect(lines.status == 0)
        #expect(lines.bytes.isEmpty)
    }

    @Test("--limit says how many rows there are")
    func limit() async throws {
        let outcome = try await Weir.run(["map", "dump", "ipcache4", "--limit", "2", "--output", "jsonl"] + Weir.shop)
        #expect(outcome.status == 0)
        #expect(outcome.lines.count == 2)
        #expect(outcome.errors == "weir: note: 2 of 5 rows; see --limit\n")
    }

    @Test("map lookup finds the longest prefix")
    func lookup() async throws {
        let found = try await Weir.run(["map", "lookup", "cidrs4", "198.51.100.66"] + Weir.shop)
        #expect(found.status == 0)
        #expect(found.lines.last == "198.51.100.66/32  11     11        cidr:198.51.100.66/32  -")
        let other = try await Weir.run(["map", "lookup", "cidrs4", "198.51.100.67", "--output", "jsonl"] + Weir.shop)
        #expect(other.object?["prefix"] as? String == "0.0.0.0/0")
        let raw = try await Weir.run(["map", "lookup", "cidrs4", "--raw", "20000000c6336442"] + Weir.shop)
        #expect(raw.lines.last == "20000000c6336442  0b0000000b00000000000000")
    }

    @Test("A lookup that finds nothing says so and ends with 2")
    func miss() async throws {
        let outcome = try await Weir.run(["map", "lookup", "ipcache4", "10.9.9.9"] + Weir.shop)
        #expect(outcome.status == 2)
        #expect(outcome.output.isEmpty)
        #expect(
            outcome.errors
                == "weir: ipcache4 has no entry for '10.9.9.9'; weir map dump ipcache4 shows what it has\n")
    }

    @Test(
        "What cannot be asked is a usage error that says what can",
        arguments: [
            (["map", "dump", "conntrack4"], "Only a node has conntrack4; an image has cidrs4"),
            (["map", "lookup", "drops", "0"], "Only a node has drops"),
            (["map", "dump", "ipcache"], "ipcache4"),
            (["map", "dump", "verdicts", "--group", "5"], "--group means nothing"),
            (["map", "dump", "cidrs4", "--address", "x"], "not an IP address"),
            (["map", "dump", "cidrs4", "--group", "nobody"], "world-ipv4"),
            (["map", "dump", "cidrs4", "--limit", "-1"], "--limit"),
            (["map", "lookup", "ipcache4", "fd00::1"], "give an IPv4 address"),
            (["map", "lookup", "ipcache4", "--raw", "0a"], "4 bytes in hexadecimal"),
            (["map", "lookup", "endpoints", "shop/api"], "weir endpoint list"),
            (["rule", "list", "--unused"], "only a node has"),
        ])
    func usage(_ arguments: [String], _ remedy: String) async throws {
        let outcome = try await Weir.run(arguments + Weir.shop)
        #expect(outcome.status == 64)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains(remedy), "\(outcome.errors)")
        #expect(
            outcome.errors.contains("weir help map lookup")
                || outcome.errors.contains("weir \(arguments[0]) \(arguments[1])"))
    }

    @Test("endpoint list says what becomes of packets that no rule is about")
    func endpoints() async throws {
        let outcome = try await Weir.run(["endpoint", "list"] + Weir.shop)
        #expect(
            outcome.output == """
                ENDPOINT         ID  ADDRESSES          INTERFACE  INDEX  EGRESS        INGRESS       AUDIT  GROUP  LABELS
                kube-system/dns  1   10.7.0.5, fd07::5  -          -      default-deny  default-deny  no     10     namespace=kube-system,k8s-app=kube-dns
                shop/api         2   10.7.0.3, fd07::3  -          -      default-deny  default-deny  no     7      app=api,namespace=shop,tier=backend
                shop/db          3   10.7.0.4, fd07::4  -          -      default-deny  default-deny  no     8      app=db,namespace=shop,tier=data
                shop/frontend    4   10.7.0.2, fd07::2  -          -      default-deny  default-deny  no     9      app=frontend,namespace=shop,tier=web

                """)
        let json = try await Weir.run(["endpoint", "list", "--output", "jsonl"] + Weir.shop)
        let first = try #require(json.lines.first.flatMap(Outcome.object))
        #expect(first["endpoint"] as? String == "kube-system/dns")
        #expect(first["addresses"] as? [String] == ["10.7.0.5", "fd07::5"])
        #expect((first["labels"] as? String)?.contains("k8s:io.cilium.k8s.policy.serviceaccount=coredns") == true)
    }

    @Test("identity list has labels, group, addresses and prefixes; wide shortens nothing")
    func identities() async throws {
        let outcome = try await Weir.run(["identity", "list"] + Weir.shop)
        #expect(
            outcome.output == """
                IDENTITY  LABELS                                  GROUP  ADDRESSES
                2         unknown-pod                             3      10.7.0.0/24, fd07::/64
                4         reserved:world,reserved:world-ipv4      5      0.0.0.0/0
                5         reserved:world,reserved:world-ipv6      6      ::/0
                6         app=api,namespace=shop,tier=backend     7      10.7.0.3, fd07::3
                7         app=db,namespace=shop,tier=data         8      10.7.0.4, fd07::4
                8         app=frontend,namespace=shop,tier=web    9      10.7.0.2, fd07::2
                9         namespace=kube-system,k8s-app=kube-dns  10     10.7.0.5, fd07::5
                10        reserved:host                           1      192.0.2.10, 2001:db8:a::10
                11        cidr:198.51.100.66/32                   11     198.51.100.66/32

                """)
        let wide = try await Weir.run(["identity", "list", "--output", "wide"] + Weir.shop)
        #expect(wide.output.contains("k8s:io.cilium.k8s.namespace.labels.team=storefront"))
        let json = try await Weir.run(["identity", "list", "--output", "jsonl"] + Weir.shop)
        #expect(
            json.lines.first
                == #"{"identity":2,"labels":"unknown-pod","group":3,"addresses":["10.7.0.0/24","fd07::/64"]}"#)
    }

    @Test("rule list has every rule that decides, by place; nobody counts in an image")
    func rules() async throws {
        let outcome = try await Weir.run(["rule", "list"] + Weir.shop)
        #expect(outcome.lines.count == 16)
        #expect(outcome.lines[0] == "LOCATION                           PACKETS  BYTES  SETS  RULE")
        #expect(
            outcome.lines[2]
                == "Policies/shop/api.yaml:12          -        -      1     CiliumNetworkPolicy shop/api spec.ingress[0]"
        )
        let json = try await Weir.run(["rule", "list", "--output", "jsonl"] + Weir.shop)
        #expect(
            json.lines[0]
                == #"{"location":"Policies/shop/api.yaml:7","packets":null,"bytes":null,"sets":2,"rule":"CiliumNetworkPolicy shop/api spec"}"#
        )
    }

    @Test("A flush of everything must be asked for by name")
    func flushNeedsFilter() async throws {
        for arguments in [["ct", "flush"], ["ct", "flush", "--all", "--state", "new"]] {
            let outcome = try await Weir.run(arguments)
            #expect(outcome.status == 64)
            #expect(outcome.errors.contains("or --all"))
        }
        for arguments in [
            ["--port", "x"], ["--port", "80/nothing"], ["--port", "80/udp", "--protocol", "tcp"], ["--state", "old"],
        ] {
            #expect(try await Weir.run(["ct", "list"] + arguments).status == 64)
        }
    }
}
