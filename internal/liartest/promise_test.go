package liartest

// allowance is what docs/proof.md says is not caught when it is lied about, or caught
// later. The model accepts it in the step in which the lie is told, and in no other.
type allowance struct {
	unproven  bool // without strict: a table of which nothing was proven yet is denied, and then answered for
	older     bool // rows as they once were
	missing   bool // rows left out, "there is no such row"
	misnamed  bool // names of columns, of a table that nobody has relied on (trust-first-use)
	false1st  bool // a false first state (trust-first-use)
	forged    bool // a header that only the next commit or proof shows to be false
	otherData bool // a commit that wrote something else than was sent: Written tells
	unseen    bool // a commit answered with one of another client that this one has not seen
}

// promises holds what is not caught, by what the driver was asked for.
var promises = map[string]allowance{
	"row":     {older: true, missing: true, misnamed: true, false1st: true},
	"rows":    {older: true, missing: true, misnamed: true, false1st: true},
	"select":  {unproven: true, older: true, missing: true, misnamed: true, false1st: true},
	"row at":  {false1st: true},
	"written": {false1st: true},
	"audit":   {false1st: true},
	"accept":  {false1st: true},
	"commit":  {false1st: true, forged: true, otherData: true, unseen: true},
	"write":   {false1st: true, unseen: true}, // with verify=writes
	"open":    {false1st: true},
}
