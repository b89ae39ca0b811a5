import type { Answer, MeshDocument } from "neuromesh";
import { useEffect, useRef, useState } from "preact/hooks";
import { embedNote, embedQuery, similarity } from "./embeddings";
import { mesh } from "./mesh";
import { RouteLine } from "./route";
import { errorText } from "./text";

interface Note {
  text: string;
  created: number;
  updated: number;
}

interface Notes {
  notes: Record<string, Note>;
}

interface Found {
  query: string;
  answer: Answer;
  scores: Map<string, number>;
}

const MAX_TEXT = 4_000;
/** After the last key, in milliseconds. */
const SEARCH_PAUSE = 350;
const SAVE_PAUSE = 300;
const EXAMPLES = [
  "Book the dentist before the end of the month",
  "The sourdough needs feeding twice a day in warm weather",
  "Idea: let visitors try the product before they sign up",
];

function newId(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function NotesPanel() {
  const [doc, setDoc] = useState<MeshDocument<Notes>>();
  const [notes, setNotes] = useState<Record<string, Note>>({});
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<Found>();
  const [searching, setSearching] = useState(false);
  const [failure, setFailure] = useState<string>();
  const [deleted, setDeleted] = useState<{ id: string; note: Note }>();

  useEffect(() => {
    let off: (() => void) | undefined;
    void mesh
      .then(async (joined) => {
        const opened = await joined.doc<Notes>("notes", { init: { notes: {} } }).ready;
        setNotes(opened.value.notes);
        setDoc(opened);
        off = opened.on("change", (value) => {
          setNotes(value.notes);
        });
      })
      .catch((error: unknown) => {
        setFailure(errorText(error));
      });
    return () => off?.();
  }, []);

  const change = (edit: (draft: Notes) => void) => {
    doc?.change(edit).catch((error: unknown) => {
      setFailure(errorText(error));
    });
  };
  const add = (text: string) => {
    const now = Date.now();
    const id = newId();
    change((draft) => (draft.notes[id] = { text, created: now, updated: now }));
  };
  const remove = (id: string) => {
    const note = notes[id];
    if (note === undefined) return;
    change((draft) => void Reflect.deleteProperty(draft.notes, id));
    setDeleted({ id, note });
  };

  // Notes are read ahead, one after the other once typing pauses, so that a search only has to read the question.
  const texts = JSON.stringify(Object.values(notes).map(({ text }) => text.trim()));
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      void (async () => {
        for (const text of JSON.parse(texts) as string[]) {
          if (text !== "" && !stop.signal.aborted) await embedNote(text, stop.signal);
        }
      })().catch(() => undefined); // Told in the activity list, and tried again by the search.
    }, 1_500);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [texts]);

  const wanted = query.trim();
  useEffect(() => {
    setFailure(undefined);
    if (wanted === "") {
      setFound(undefined);
      setSearching(false);
      return;
    }
    const stop = new AbortController();
    setSearching(true);
    const timer = setTimeout(() => {
      search(wanted, notes, stop.signal)
        .then(setFound)
        .catch((error: unknown) => {
          if (!stop.signal.aborted) setFailure(errorText(error));
        })
        .finally(() => {
          if (!stop.signal.aborted) setSearching(false);
        });
    }, SEARCH_PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [wanted, texts]);

  const shown = found !== undefined && wanted !== "" ? found : undefined;
  const ids = Object.keys(notes).sort((a, b) =>
    shown ? (shown.scores.get(b) ?? -1) - (shown.scores.get(a) ?? -1) : (notes[b]?.created ?? 0) - (notes[a]?.created ?? 0),
  );

  return (
    <section class="panel notes" aria-labelledby="notes-title">
      <header>
        <h2 id="notes-title">Notes</h2>
        <p>Shared with every tab and server of the mesh, kept when you are offline.</p>
      </header>
      <div class="search">
        <input
          type="search"
          placeholder="Search by meaning"
          aria-label="Search the notes by meaning"
          data-testid="search"
          value={query}
          onInput={(event) => {
            setQuery(event.currentTarget.value);
          }}
        />
        <div class="below" aria-live="polite">
          {searching && !shown && <p class="quiet">Searching …</p>}
          {shown && <RouteLine answer={shown.answer} testid="search-route" />}
          {failure && (
            <p class="failure" role="alert" data-testid="notes-failure">
              {failure}
            </p>
          )}
        </div>
      </div>
      <Composer disabled={doc === undefined} onAdd={add} />
      {deleted && (
        <p class="toast" role="status">
          Note deleted.{" "}
          <button
            type="button"
            class="link"
            data-testid="undo"
            onClick={() => {
              change((draft) => (draft.notes[deleted.id] = deleted.note));
              setDeleted(undefined);
            }}
          >
            Undo
          </button>
          <button
            type="button"
            class="link"
            onClick={() => {
              setDeleted(undefined);
            }}
          >
            Dismiss
          </button>
        </p>
      )}
      {doc !== undefined && ids.length === 0 && (
        <div class="empty">
          <p>Nothing here yet. Write a note above, or begin with three of ours and search them for “toothache”.</p>
          <button
            type="button"
            data-testid="examples"
            onClick={() => {
              EXAMPLES.forEach(add);
            }}
          >
            Add example notes
          </button>
        </div>
      )}
      <ul class="cards" data-testid="notes">
        {ids.map((id) => {
          const note = notes[id];
          if (note === undefined) return null;
          const score = shown?.scores.get(id);
          return (
            <NoteCard
              key={id}
              note={note}
              {...(score === undefined ? {} : { score })}
              onEdit={(text) => {
                change((draft) => {
                  const target = draft.notes[id];
                  // Deleted elsewhere while it was being edited here: what was typed is worth more.
                  if (target === undefined) draft.notes[id] = { ...note, text, updated: Date.now() };
                  else Object.assign(target, { text, updated: Date.now() });
                });
              }}
              onDelete={() => {
                remove(id);
              }}
            />
          );
        })}
      </ul>
    </section>
  );
}

async function search(query: string, notes: Record<string, Note>, signal: AbortSignal): Promise<Found> {
  const { vector, answer } = await embedQuery(query, signal);
  const scores = new Map<string, number>();
  for (const [id, { text }] of Object.entries(notes)) {
    if (text.trim() !== "") scores.set(id, similarity(vector, await embedNote(text.trim(), signal)));
  }
  return { query, answer, scores };
}

function Composer({ disabled, onAdd }: { disabled: boolean; onAdd: (text: string) => void }) {
  const [text, setText] = useState("");
  const submit = () => {
    if (text.trim() === "") return;
    onAdd(text.trim());
    setText("");
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <textarea
        rows={1}
        maxLength={MAX_TEXT}
        placeholder="Write a note"
        aria-label="A new note; Enter adds it, Shift and Enter begins a new line"
        data-testid="new-note"
        value={text}
        disabled={disabled}
        onInput={(event) => {
          setText(event.currentTarget.value);
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          submit();
        }}
      />
      <button type="submit" class="primary" data-testid="add-note" disabled={disabled || text.trim() === ""}>
        Add
      </button>
    </form>
  );
}

interface CardProps {
  note: Note;
  score?: number;
  onEdit: (text: string) => void;
  onDelete: () => void;
}

function NoteCard({ note, score, onEdit, onDelete }: CardProps) {
  const [draft, setDraft] = useState<string>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const save = (text: string) => {
    clearTimeout(timer.current);
    if (text !== note.text) onEdit(text);
  };
  const match = score === undefined ? undefined : Math.max(0, Math.round(score * 100));
  return (
    <li class="card" data-testid="note">
      <textarea
        rows={1}
        maxLength={MAX_TEXT}
        aria-label="Note"
        data-testid="note-text"
        value={draft ?? note.text}
        onInput={(event) => {
          const text = event.currentTarget.value;
          setDraft(text);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => {
            save(text);
          }, SAVE_PAUSE);
        }}
        onBlur={() => {
          if (draft !== undefined) save(draft);
          setDraft(undefined);
        }}
      />
      <div class="side">
        {match !== undefined && (
          <span class="match" data-testid="match" title="How close the meaning is">
            <meter min={0} max={100} value={match} aria-label={`${match} % alike`} /> {match} %
          </span>
        )}
        <button type="button" class="icon" aria-label={`Delete the note: ${note.text.slice(0, 40)}`} data-testid="delete-note" onClick={onDelete}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="M4 4l8 8M12 4l-8 8" />
          </svg>
        </button>
      </div>
    </li>
  );
}
