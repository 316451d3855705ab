// Package receipttest reads receipts with the libraries of other projects, to show
// that a receipt is what the C2SP specification of transparency log proofs says.
package receipttest
