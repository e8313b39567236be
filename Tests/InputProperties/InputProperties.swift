import WeirCompiler
import WeirDiagnostics
import WeirEmulator
import WeirFlow
import WeirImage
import WeirInventory
import WeirModel
import WeirPolicy
package import WeirSyntax
package import WeirTestSupport

/// What holds for every input; each property that does not is named with what was seen.
package struct InputProperties {
    private let source: SourceFile

    package init(_ source: SourceFile) { self.source = source }

    /// How far an input came, to see that the fuzzer reaches the compiler.
    package struct Report {
        package var problems: [String] = []
        package var hasErrors = false
        package var images = 0
        package var verdicts = 0
    }

    private struct Decoded {
        var policies: PolicySet
        var inventory: Inventory
        var diagnostics: DiagnosticsCollector

        init(_ source: SourceFile, isReversed: Bool = false) {
            var diagnostics = DiagnosticsCollector()
            var documents = parseDocuments(source, diagnostics: &diagnostics)
            if isReversed { documents.reverse() }
            policies = decodePolicies(documents, diagnostics: &diagnostics)
            inventory = decodeInventory(documents, diagnostics: &diagnostics)
            self.diagnostics = diagnostics
        }
    }

    package func check(_ random: inout SeededGenerator) -> Report {
        var report = Report()
        let decoded = Decoded(source)
        report.hasErrors = decoded.diagnostics.hasErrors
        checkPlaces(decoded.diagnostics, &report)

        let again = Decoded(source)
        if again.diagnostics.all != decoded.diagnostics.all {
            report.problems.append("other diagnostics the second time")
        }
        let reversed = Decoded(source, isReversed: true)
        checkSame(decoded, reversed, &report)

        guard !decoded.diagnostics.hasErrors else { return report }
        var images: [String: Image] = [:]
        // An endpoint may name a node of which nothing else is known.
        let nodes = Set(decoded.inventory.nodes.map(\.name) + decoded.inventory.endpoints.map(\.node))
        for node in nodes.sorted() {
            let image = Compiler.compile(policies: decoded.policies, inventory: decoded.inventory, node: node)
            let bytes = image.encoded()
            let other = Compiler.compile(policies: reversed.policies, inventory: reversed.inventory, node: node)
            if other.encoded() != bytes {
                report.problems.append("the order of the documents changes the image of \(node)")
            }
            do {
                let read = try Image(decoding: bytes)
                if read != image { report.problems.append("the image of \(node) is another after decoding") }
                if read.encoded() != bytes {
                    report.problems.append("the image of \(node) has other bytes after decoding")
                }
                images[node] = read
            } catch {
                report.problems.append("the image of \(node) cannot be decoded: \(error)")
            }
        }
        report.images = images.count
        judge(images, decoded.inventory, &random, &report)
        return report
    }

    // MARK: Diagnostics

    /// Every finding and note names a character of the file, the one behind the last of a line, or the end: of a text that
    /// breaks off, that is the line behind the last, whether or not a line break ends it.
    private func checkPlaces(_ diagnostics: DiagnosticsCollector, _ report: inout Report) {
        let lengths = lineLengths
        for diagnostic in diagnostics.all {
            for place in [diagnostic.location] + diagnostic.notes.map(\.location) {
                let isInside =
                    place.path == source.path
                    && lengths.indices.contains(place.line - 1)
                    && (1...lengths[place.line - 1] + 1).contains(place.column)
                if !isInside { report.problems.append("\(place) is not in the file: \(diagnostic)") }
            }
        }
    }

    /// In Unicode scalars, of every line and of an empty one behind the last.
    private var lineLengths: [Int] {
        var lengths = [0]
        var isAfterReturn = false
        for scalar in String(decoding: source.bytes, as: UTF8.self).unicodeScalars {
            let isBreak = scalar == "\n" || scalar == "\r"
            if isBreak, !(scalar == "\n" && isAfterReturn) { lengths.append(0) }
            if !isBreak { lengths[lengths.count - 1] += 1 }
            isAfterReturn = scalar == "\r" && isBreak
        }
        return lengths + [0]
    }

    /// Of several objects with one name, all but the first are reported, so findings that say the same may change places.
    private func checkSame(_ one: Decoded, _ other: Decoded, _ report: inout Report) {
        func summaries(_ decoded: Decoded) -> [String] {
            var places: [String: Set<SourceLocation>] = [:]
            for finding in decoded.diagnostics.all {
                let text = "\(finding.severity) \(finding.id.rawValue): \(finding.message)"
                places[text, default: []].formUnion([finding.location] + finding.notes.map(\.location))
            }
            return places.map { text, places in "\(places.sorted()) \(text)" }.sorted()
        }
        let (left, right) = (summaries(one), summaries(other))
        if left != right {
            let difference = left.filter { !right.contains($0) } + right.filter { !left.contains($0) }
            report.problems.append("the order of the documents changes the diagnostics: \(difference.prefix(4))")
        }
        guard !report.hasErrors else { return }
        if one.policies != other.policies { report.problems.append("the order of the documents changes the policies") }
        if one.inventory != other.inventory {
            report.problems.append("the order of the documents changes the inventory")
        }
    }

    // MARK: Verdicts

    private func judge(
        _ images: [String: Image], _ inventory: Inventory, _ random: inout SeededGenerator, _ report: inout Report
    ) {
        struct NoImage: Error {}
        let answerer = FlowAnswerer(inventory) { node in
            guard let image = images[node] else { throw NoImage() }
            return (image, try EmulatorJudge(image: image))
        }
        let outside = ["203.0.113.7", "10.1.2.3", "192.0.2.1", "2001:db8::1", "fd00::99"].compactMap { IPAddress($0) }
        let ends =
            inventory.endpoints.map { Flow.Peer.endpoint($0.qualifiedName) } + outside.map { Flow.Peer.address($0) }
            + inventory.services.flatMap(\.addresses).map { Flow.Peer.address($0) }
        guard !inventory.endpoints.isEmpty else { return }
        for _ in 0..<12 {
            let flow = Flow(
                from: random.pick(ends), to: random.pick(ends),
                protocol: random.pick([.tcp, .udp, .sctp, .icmp, .icmpv6]),
                port: random.pick([0, 8, 80, 81, 8080]))
            do {
                _ = try answerer.answer(flow)
                report.verdicts += 1
            } catch is FlowError {
                continue
            } catch {
                report.problems.append("\(flow) cannot be judged: \(error)")
            }
        }
    }
}
