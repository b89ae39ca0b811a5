import type { Answer } from "neuromesh";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./mesh";
import { RouteLine } from "./route";
import { bytes, errorText } from "./text";

const MODEL = "magika";

interface Verdict {
  label: string;
  group: string;
  mime_type: string;
  description: string;
  score: number;
}

interface Result {
  key: number;
  name: string;
  size: number;
  verdict?: Verdict;
  answer?: Answer;
  error?: string;
}

/** Results shown at a time. */
const MAX_RESULTS = 5;
/** Files taken from one drop. */
const MAX_DROP = 20;

let nextKey = 1;

export function FilesPanel() {
  const [results, setResults] = useState<Result[]>([]);
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);

  const take = (files: FileList | null | undefined) => {
    for (const file of [...(files ?? [])].slice(0, MAX_DROP)) {
      const result: Result = { key: nextKey++, name: file.name, size: file.size };
      const show = (change: Partial<Result>) => {
        setResults((before) =>
          [{ ...result, ...change }, ...before.filter(({ key }) => key !== result.key)]
            .sort((a, b) => b.key - a.key)
            .slice(0, MAX_RESULTS),
        );
      };
      show({});
      ask(`Recognize “${file.name}”`, MODEL, file)
        .then((answer) => {
          show({ answer, verdict: answer.json as Verdict });
        })
        .catch((error: unknown) => {
          show({ error: errorText(error) });
        });
    }
  };

  // A file that misses the field must not replace the page.
  useEffect(() => {
    const over = (event: DragEvent) => {
      event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      setOver(false);
      take(event.dataTransfer?.files);
    };
    document.addEventListener("dragover", over);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", over);
      document.removeEventListener("drop", drop);
    };
  }, []);

  return (
    <section class="panel files" aria-labelledby="files-title">
      <header>
        <h2 id="files-title">What is this file?</h2>
        <p>Its name is ignored, its content tells. Of a large file only 8 kB are read.</p>
      </header>
      <label
        class={over ? "drop over" : "drop"}
        data-testid="drop"
        onDragEnter={() => {
          setOver(true);
        }}
        onDragLeave={() => {
          setOver(false);
        }}
      >
        <input
          ref={input}
          type="file"
          multiple
          data-testid="file"
          onChange={(event) => {
            take(event.currentTarget.files);
            event.currentTarget.value = "";
          }}
        />
        <svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
          <path d="M12 15V4m0 0L7.5 8.5M12 4l4.5 4.5M4 15v4.5h16V15" />
        </svg>
        <span>
          Drop a file here or <u>choose one</u>
        </span>
      </label>
      <ul class="results" aria-live="polite" data-testid="files">
        {results.map((result) => (
          <FileResult key={result.key} result={result} />
        ))}
      </ul>
    </section>
  );
}

function FileResult({ result: { name, size, verdict, answer, error } }: { result: Result }) {
  return (
    <li data-testid="file-result">
      <p class="file">
        <span class="name">{name}</span> <span class="quiet">{bytes(size)}</span>
      </p>
      {verdict && (
        <p class="verdict">
          <strong data-testid="file-type" data-label={verdict.label}>
            {verdict.description || verdict.label}
          </strong>
          <span class="quiet"> {verdict.mime_type}</span>
          <span class="match" data-testid="file-score" title="How sure the model is">
            <meter min={0} max={100} value={verdict.score * 100} aria-label={`${Math.round(verdict.score * 100)} % sure`} />{" "}
            {(verdict.score * 100).toFixed(verdict.score > 0.995 ? 0 : 1)} %
          </span>
        </p>
      )}
      {answer && <RouteLine answer={answer} testid="file-route" />}
      {error && (
        <p class="failure" role="alert" data-testid="file-failure">
          {error}
        </p>
      )}
      {!answer && !error && <p class="quiet">Looking …</p>}
    </li>
  );
}
