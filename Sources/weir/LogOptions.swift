public import ArgumentParser
import Foundation
public import Logging

extension Logger.Level: @retroactive ExpressibleByArgument {}

enum LogFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

/// What a run says of itself beside its diagnostics, on standard error.
struct LogOptions: ParsableArguments {
    @Option(help: "How much to say: trace, debug, info, notice, warning, error or critical.")
    var logLevel = Environment.value("LOG_LEVEL", default: Logger.Level.warning)

    @Option(help: "Format of the log: text, or json with one object a line.")
    var logFormat = Environment.value("LOG_FORMAT", default: LogFormat.text)

    var logger: Logger {
        var logger = Logger(label: "weir") { [logFormat] _ in LineLogHandler(format: logFormat) }
        logger.logLevel = logLevel
        return logger
    }
}

/// One line an event on standard error, with the seconds since the run began.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning
    private let format: LogFormat
    private let start = ContinuousClock.now

    init(format: LogFormat) { self.format = format }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues(\.description)
        let elapsed = start.duration(to: .now)
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        switch format {
        case .text:
            let tail = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
            Terminal.complain(String(format: "weir: %.3f ", seconds) + "\(event.level): \(event.message)\(tail)")
        case .json:
            fields["level"] = event.level.rawValue
            fields["message"] = event.message.description
            fields["seconds"] = String(format: "%.3f", seconds)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            guard let line = try? encoder.encode(fields) else { return }
            Terminal.complain(String(decoding: line, as: UTF8.self))
        }
    }
}
