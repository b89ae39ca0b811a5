//! Targets whose instruction set is settled when they are compiled.

/// As on x86-64, where there are several to choose from: there, bodies are compiled once for each.
macro_rules! dispatch {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $([$($generic:tt)*])? ($cpu:ident : &Cpu $(, $arg:ident : $type:ty)* $(,)?) $(-> $result:ty)?
        $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name $(<$($generic)*>)? ($cpu: &$crate::kernels::cpu::Cpu $(, $arg: $type)*) $(-> $result)? {
            #[allow(clippy::too_many_arguments, unused_variables)]
            #[inline(always)]
            fn body $(<$($generic)*>)? ($cpu: &$crate::kernels::cpu::Cpu $(, $arg: $type)*) $(-> $result)? $body
            body($cpu $(, $arg)*)
        }
    )*};
}
pub(crate) use dispatch;
