// Verifies the log of a running Keyledger with the packages that verify Go's checksum database: nothing
// here was written by those who wrote the log, apart from fetching and from reading three lines.
//
//	KEYLEDGER_KEY=... sumdb [-wrong-bit note|tile|bundle|proof|older] ORIGIN_URL VERIFIER_KEY OLDER_CHECKPOINT POSITION
//
// ORIGIN_URL is where the log is served (http://127.0.0.1:8080/v1/log), OLDER_CHECKPOINT a file with a
// checkpoint of before, POSITION that of an event whose proof is fetched. Every record is checked against its
// tile, by its inclusion in the tree, and the tree against the older one. With -wrong-bit one bit of what was
// fetched is turned round first, and verifying has to fail.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Tiles hold 2^8 hashes (C2SP tlog-tiles).
const height = 8

var wrongBit = flag.String("wrong-bit", "", "what to turn a bit round in: note, tile, bundle, proof or older")

// damaged turns a bit round in the middle, if that is what was asked for.
func damaged(what string, data []byte) []byte {
	if *wrongBit == what && len(data) > 0 {
		data[len(data)/2] ^= 0x01
	}
	return data
}

// log is where the log is served.
type log struct {
	url, key string
}

func (l log) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Api-Key", l.key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return data, err
}

// Height makes log a tlog.TileReader.
func (l log) Height() int { return height }

// ReadTiles fetches tiles. Their paths are those of the checksum database, which has the height in them.
func (l log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, err := l.get(l.url + "/tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height)))
		if err != nil {
			return nil, err
		}
		all[i] = damaged("tile", data)
	}
	return all, nil
}

// SaveTiles is told of tiles that were verified.
func (l log) SaveTiles([]tlog.Tile, [][]byte) {}

// open verifies a checkpoint's signature and reads its three lines. (tlog.ParseTree wants the name of the
// checksum database in the first.)
func open(data []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// bundle fetches the records of a tile of level 0.
func (l log) bundle(index int64, width int) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: -1, N: index, W: width}
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/data/", height))
	data, err := l.get(l.url + "/tile/entries/" + path)
	if err != nil {
		return nil, err
	}
	data = damaged("bundle", data)
	var records [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, errors.New("a bundle ends amid a length")
		}
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			return nil, errors.New("a bundle ends amid a record")
		}
		records, data = append(records, data[2:2+length]), data[2+length:]
	}
	if len(records) != width {
		return nil, fmt.Errorf("a bundle of %d records, not %d", len(records), width)
	}
	return records, nil
}

// checkRecords checks every record of the tree.
func (l log) checkRecords(tree tlog.Tree, hashes tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 1 << height {
		width := tree.N - first
		if width > 1<<height {
			width = 1 << height
		}
		records, err := l.bundle(first>>height, int(width))
		if err != nil {
			return err
		}
		for i, record := range records {
			number := first + int64(i)
			proof, err := tlog.ProveRecord(tree.N, number, hashes)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, number, tlog.RecordHash(record)); err != nil {
				return fmt.Errorf("record %d: %w", number, err)
			}
		}
	}
	return nil
}

// checkProof checks the proof file of one event (C2SP tlog-proof) with nothing but that file and its record.
func (l log) checkProof(position int64, verifier note.Verifier) error {
	event := fmt.Sprintf("%s/events/%d", strings.TrimSuffix(l.url, "/log"), position)
	record, err := l.get(event + "/record")
	if err != nil {
		return err
	}
	file, err := l.get(event + "/proof")
	if err != nil {
		return err
	}
	head, checkpoint, found := strings.Cut(string(file), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a proof")
	}
	if lines[1] != fmt.Sprintf("index %d", position-1) {
		return errors.New("the proof of another event")
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	if len(proof) > 0 {
		damaged("proof", proof[0][:])
	}
	tree, err := open([]byte(checkpoint), verifier)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, position-1, tlog.RecordHash(record))
}

func verify(l log, verifierKey, olderFile, position string) error {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return err
	}
	text, err := l.get(l.url + "/checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(damaged("note", text), verifier)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	fmt.Printf("checkpoint of %d records\n", tree.N)

	hashes := tlog.TileHashReader(tree, l)
	if err := l.checkRecords(tree, hashes); err != nil {
		return err
	}
	fmt.Println("every record is in it")

	text, err = os.ReadFile(olderFile)
	if err != nil {
		return err
	}
	older, err := open(text, verifier)
	if err != nil {
		return fmt.Errorf("older checkpoint: %w", err)
	}
	damaged("older", older.Hash[:])
	extends, err := tlog.ProveTree(tree.N, older.N, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(extends, tree.N, tree.Hash, older.N, older.Hash); err != nil {
		return fmt.Errorf("it does not extend the older one: %w", err)
	}
	fmt.Printf("it extends that of %d\n", older.N)

	number, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		return err
	}
	if err := l.checkProof(number, verifier); err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	fmt.Printf("event %d is proved\n", number)
	return nil
}

func main() {
	flag.Parse()
	if flag.NArg() != 4 {
		fmt.Fprintln(os.Stderr, "usage: sumdb [-wrong-bit WHAT] ORIGIN_URL VERIFIER_KEY OLDER_CHECKPOINT POSITION")
		os.Exit(2)
	}
	l := log{url: flag.Arg(0), key: os.Getenv("KEYLEDGER_KEY")}
	if err := verify(l, flag.Arg(1), flag.Arg(2), flag.Arg(3)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
