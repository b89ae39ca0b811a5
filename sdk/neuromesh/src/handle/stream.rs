//! Answers in parts.

use futures::{Stream, channel::oneshot, stream};
use neuromesh_core::{Answer, Part, Request};

use super::{Asked, CancelOnDrop, Mesh};
use crate::{engine::PartSink, error::Error, platform::MaybeSend};

/// What comes of a request whose answer is given in parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// What is new of the answer.
    Part(Part),
    /// The whole of it, with its receipt. Nothing comes after it.
    Answer(Box<Answer>),
}

enum State {
    Asking(Mesh, u64, Box<Request>),
    Running { parts: PartSink, answer: oneshot::Receiver<Result<Answer, Error>>, guard: CancelOnDrop },
    Ending(Result<Box<Answer>, Error>),
    Ended,
}

impl Mesh {
    /// Runs a model as [`Mesh::run`] does, and gives its answer in parts as they are made: any number of
    /// [`Progress::Part`], then the [`Progress::Answer`], or an error; then the stream ends. Joined, the parts are the text
    /// and the tokens of the answer, also where several peers were tried; a model whose answer is no generated text has none.
    /// What is made while nobody takes it waits as one part. Nobody vouches for a part until the answer is there, whose receipt
    /// is signed over all of them. The request begins when the stream is first polled; dropping the
    /// stream cancels the run, wherever it is.
    ///
    /// # Errors
    /// As [`Mesh::run`], and [`ErrorKind::Diverged`](crate::ErrorKind::Diverged).
    pub fn stream(&self, request: Request) -> impl Stream<Item = Result<Progress, Error>> + MaybeSend + use<> {
        self.stream_as(self.next_request(), request)
    }

    /// As [`Mesh::stream`], under a number from [`Mesh::next_request`] by which events name the request.
    ///
    /// # Errors
    /// As [`Mesh::stream`].
    pub fn stream_as(
        &self,
        number: u64,
        mut request: Request,
    ) -> impl Stream<Item = Result<Progress, Error>> + MaybeSend + use<> {
        request.options.stream = true;
        let begin = State::Asking(self.clone(), number, Box::new(request));
        Box::pin(stream::unfold(begin, step))
    }
}

async fn step(mut state: State) -> Option<(Result<Progress, Error>, State)> {
    loop {
        state = match state {
            State::Asking(mesh, number, request) => match mesh.ask(number, *request).await {
                Err(error) => State::Ending(Err(error)),
                Ok(Asked { parts, answer, guard }) => State::Running { parts, answer, guard },
            },
            State::Running { parts, mut answer, mut guard } => {
                let result = tokio::select! {
                    biased;
                    part = parts.next() => {
                        return Some((Ok(Progress::Part(part)), State::Running { parts, answer, guard }));
                    }
                    result = &mut answer => result.unwrap_or_else(|_| Err(Error::closed())),
                };
                guard.disarm();
                let end = State::Ending(result.map(Box::new));
                // Parts go before the answer that came with them.
                if let Some(part) = parts.take() {
                    return Some((Ok(Progress::Part(part)), end));
                }
                end
            }
            State::Ending(result) => return Some((result.map(Progress::Answer), State::Ended)),
            State::Ended => return None,
        };
    }
}
