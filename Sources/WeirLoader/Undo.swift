/// What to do, last first, to leave things as they were.
struct Undo {
    private var actions: [() throws -> Void] = []

    mutating func add(_ action: @escaping () throws -> Void) { actions.append(action) }

    /// Every action is tried, whatever the others do.
    mutating func run() {
        for action in actions.reversed() { try? action() }
        actions = []
    }
}
