"use strict";
const $ = id => document.getElementById(id);
let bytes = null, name = "";

const titles = { valid: "The receipt is valid", refused: "The receipt does not prove anything", unchecked: "Not verified", mistaken: "Not checked" };
const tones = { valid: "good", refused: "bad", unchecked: "warn", mistaken: "warn" };

// Everything that comes from a receipt is put in as text, never as HTML.
function fill(table, facts) {
	table.replaceChildren(...(facts || []).map(f => {
		const row = document.createElement("tr"), th = document.createElement("th"), td = document.createElement("td");
		th.scope = "row";
		th.textContent = f.name;
		td.textContent = f.value;
		row.append(th, td);
		return row;
	}));
}

function show(answer) {
	$("answer").hidden = false;
	$("answer").dataset.verdict = answer.verdict;
	$("result").className = "result " + tones[answer.verdict];
	$("title").textContent = titles[answer.verdict];
	$("text").textContent = answer.text;
	$("file").textContent = name;
	fill($("row"), answer.row);
	fill($("facts"), answer.facts);
	$("said").hidden = !answer.row;
	$("limits").hidden = answer.verdict !== "valid";
}

function check() {
	if (!bytes) return;
	let answer;
	try {
		answer = JSON.parse(checkReceipt(bytes, $("database").value, $("key").value, $("state").value));
	} catch (e) {
		answer = { verdict: "mistaken", text: "The check stopped: " + e + ". Load the page again." };
	}
	show(answer);
}

async function open(file, as) {
	if (!file) return;
	if (file.size > 64 << 20) {
		bytes = null;
		name = file.name;
		show({ verdict: "mistaken", text: "The file is too large for a receipt." });
		return;
	}
	const content = new Uint8Array(await file.arrayBuffer());
	if (as === "key" || new TextDecoder().decode(content.subarray(0, 11)) === "-----BEGIN ") {
		$("key").value = new TextDecoder().decode(content);
	} else {
		bytes = content;
		name = file.name;
	}
	check();
}

async function start() {
	const packed = Uint8Array.from(atob($("wasm").textContent.trim()), c => c.charCodeAt(0));
	const wasm = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
	const go = new Go();
	const { instance } = await WebAssembly.instantiate(wasm, go.importObject);
	go.run(instance);
	$("pick").disabled = false;
	$("hint").textContent = "Drop a receipt here, or choose the file";
	document.body.dataset.ready = "yes";
}

$("pick").addEventListener("change", e => open(e.target.files[0]));
$("pickkey").addEventListener("change", e => open(e.target.files[0], "key"));
for (const id of ["database", "key", "state"]) $(id).addEventListener("input", check);
addEventListener("dragover", e => { e.preventDefault(); $("drop").classList.add("over"); });
addEventListener("dragleave", () => $("drop").classList.remove("over"));
addEventListener("drop", e => {
	e.preventDefault();
	$("drop").classList.remove("over");
	if (document.body.dataset.ready) for (const f of e.dataTransfer.files) open(f);
});
start().catch(e => { $("hint").textContent = "This browser cannot run the check: " + e; });
